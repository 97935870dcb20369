"""Comparison of a result with a baseline or an earlier result."""
