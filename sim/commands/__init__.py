"""Commands of `python -m sim`; each has a file."""
