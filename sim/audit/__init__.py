"""Audit of recordings with replies: finds what really became of the messages."""
