"""Recordings: what arrived at a bot and what became of it."""
