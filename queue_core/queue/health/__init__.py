"""Health reports, and the probe that checks whether a Redis can be used."""
