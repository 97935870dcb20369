"""Witnesses of the old systems: they see each loss at the moment it happens."""
