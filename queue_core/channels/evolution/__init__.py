"""The Evolution API."""
