"""Demo traffic: an invented company's LLM applications over some days, sent like anybody's spans."""
