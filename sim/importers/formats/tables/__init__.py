"""Exported tables of databases: CSV, JSON, and the COPY and INSERT of pg_dump."""
