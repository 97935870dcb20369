"""Witnesses of the old systems, which record each loss and its cause at the moment it happens."""
