"""AI backends: one module for each API."""
