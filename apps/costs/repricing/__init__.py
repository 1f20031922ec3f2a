"""Computing the costs of a range of spans anew: counted first, applied, undone."""
