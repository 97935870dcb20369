"""Formats, a file or a folder each."""
