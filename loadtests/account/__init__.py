"""The account of a run: kept while it goes on, and the ledger, the thresholds and the result that are made of it."""
