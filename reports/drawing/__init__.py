"""Drawings: plots and swimlanes as SVG."""
