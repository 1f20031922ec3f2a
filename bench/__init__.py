"""Benchmarks: `make bench` runs them side by side against plain PostgreSQL and prints ratios."""
