"""Legacy buffer, kept for replays and for the switch back to it. Nothing else needs this folder."""
