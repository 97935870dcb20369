"""Observers of the systems other than the queue, which record each loss and its cause at the moment it happens."""
