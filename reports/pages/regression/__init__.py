"""The page of a regression."""
