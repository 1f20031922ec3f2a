"""Exports: traces, metrics and costs as files, complete and proven or with a loud failure."""
