"""Synthetic recordings, drawn from the statistics of real chats."""
