"""The page of a load."""
