"""The database backend: PostgreSQL with TimescaleDB where the server has it."""
