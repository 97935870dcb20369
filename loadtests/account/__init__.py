"""The account of a load test, and its ledger, thresholds, result and console output."""
