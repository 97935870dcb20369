"""Pages: a self-contained HTML file for each kind of result."""
