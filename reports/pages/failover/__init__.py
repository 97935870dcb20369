"""The page of runs under failovers."""
