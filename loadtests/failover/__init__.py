"""Runs of the queue on clusters and behind sentinels while their servers fail, with a ledger outside of Redis."""
