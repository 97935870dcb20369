"""Load tests of the running system: a local stack, a sink that plays the AI and WhatsApp, a plan of faults, and Locust.

`locust -f loadtests/` runs every file below, each as a module under its bare name. So no module has an effect when it
is imported (except `locustfile.py`, which registers the listeners), no module has the name of a library, and each
imports from this package before it needs a library that may be missing.
"""

import importlib.util
import sys

_PACKAGES = ("msgspec", "aiohttp", "matplotlib", "simpy", "locust", "psutil")
"""One of each set of packages that `make load` installs."""

for _package in _PACKAGES:
    if importlib.util.find_spec(_package) is None:
        sys.stderr.write(
            f"loadtests: the package {_package} is missing: in the checkout of burstqueue, type "
            "pip install -e '.[load]', or make load\n"
        )
        sys.exit(2)
