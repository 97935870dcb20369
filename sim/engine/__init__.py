"""The engine: time, network, world, and the ledger that sees everything."""
