"""Conversations: the rollup of traces by their session, and what is read from it."""
