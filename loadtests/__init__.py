"""Load tests of the running system: a local stack, a sink that plays the AI and WhatsApp, a plan of faults, and Locust.

`locust -f loadtests/` imports every file in this folder, each as a module under its bare name. So only `locustfile.py`
has an effect when it is imported (it registers the listeners), no module has the name of a library, and each module
imports from this package before any library that may be missing.
"""

import importlib.util
import sys

_PACKAGES = ("msgspec", "aiohttp", "matplotlib", "simpy", "locust", "psutil")
"""One package of each extra that `make load` installs."""

for _package in _PACKAGES:
    if importlib.util.find_spec(_package) is None:
        sys.stderr.write(
            f"loadtests: the package {_package} is missing: in the checkout of burstqueue, type "
            "pip install '.[load]', or make load\n"
        )
        sys.exit(2)
