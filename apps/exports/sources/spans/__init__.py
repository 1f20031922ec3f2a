"""The export of traces: one row is one span, with what it takes over from its trace."""
