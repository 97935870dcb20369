"""Intake of a web process's messages, also without Redis."""
