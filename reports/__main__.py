"""`python -m reports`: see `reports.cli`."""

import sys

from reports.cli import main

try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
