"""The account of a run, the ledger, the thresholds and the result that are made of it, and how they are shown."""
