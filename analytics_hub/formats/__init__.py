"""How pages write times: as the API does, in UTC."""
