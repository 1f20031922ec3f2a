"""The API's figures, recomputed from the raw rows with polars. Nothing here but the fixtures touches apps/."""
