"""The ops console: server-rendered pages over the answers of the API."""
