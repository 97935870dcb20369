"""Recordings of the messages that arrived at a bot, and of what became of them."""
