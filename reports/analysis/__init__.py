"""Analysis: what results mean, built once for pages, console and comparison."""
