"""The legacy buffer, kept to be replayed and to be switched back to; this folder can be deleted one day."""
