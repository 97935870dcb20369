"""Several Redis servers that belong together, as child processes on this machine, and the faults that befall them."""
