"""Budgets: an amount of money for a calendar period and a part of the spans, and where the spending stands."""
