"""Reports about money: from a question about a range to the blocks of an answer. docs/costs.md has the formulas.

All of them are made from answers of the metrics engine, in one snapshot each, and sums are exact to the picodollar.
"""
