"""Settings: the organization, its projects, people, keys, prices, budgets, and its audit log."""
