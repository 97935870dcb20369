"""Formats that can be imported; each has a file or a folder."""
