"""`python -m loadtests`: the stack, a whole load test, or the sink alone."""

from __future__ import annotations

import sys

from loadtests.commands import main

if __name__ == "__main__":
    sys.exit(main())
