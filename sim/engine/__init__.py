"""Engine of the simulator: time, network, the world around a system, and the ledger of all messages."""
