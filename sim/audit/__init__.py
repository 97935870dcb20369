"""Audit of recordings that hold the replies: what really became of the messages."""
