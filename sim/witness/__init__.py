"""Witnesses of the old systems: they note each loss, with its cause, at the moment it happens."""
