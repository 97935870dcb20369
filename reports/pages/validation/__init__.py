"""The page of a validation of the simulator."""
