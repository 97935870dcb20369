"""Check of the simulator: the same messages in the simulator and in a real stack."""
