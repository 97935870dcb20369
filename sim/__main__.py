"""`python -m sim`: see `sim.cli`."""

from __future__ import annotations

import sys

BAD_INPUT, INTERRUPTED = 2, 130


def _run() -> int:
    try:
        from sim.cli import main  # noqa: PLC0415 - takes a second, in which Ctrl-C must work; a package may be missing

        return main()
    except KeyboardInterrupt:
        # If it came within an `exec` of text, as in dataclasses, Python would end by SIGINT; another `exec` stops that.
        exec("")  # noqa: S102 - runs nothing
        print("sim: interrupted", file=sys.stderr)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "queue_core", "reports", "sim") or package in sys.stdlib_module_names:
            raise  # a bug in this code, or a broken Python: installing a package does not help
        print(
            f"sim: the package {package} is missing: in the checkout of burstqueue, type pip install '.[sim]', "
            "or make replay",
            file=sys.stderr,
        )
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(_run())
