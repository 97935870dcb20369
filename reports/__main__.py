"""`python -m reports`: see `reports.cli`."""

from __future__ import annotations

import sys

BAD_INPUT, INTERRUPTED = 2, 130


def _run() -> int:
    try:
        from reports.cli import main  # noqa: PLC0415 - a package that it needs may be missing

        return main()
    except KeyboardInterrupt:
        exec("")  # noqa: S102 - runs nothing; sim/__main__.py says why it is here
        return INTERRUPTED
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "reports") or package in sys.stdlib_module_names:
            raise  # a mistake in this code, or a broken Python: installing cures neither
        print(
            f"reports: the package {package} is missing: in the checkout of burstqueue, type "
            "pip install '.[reports]', or make replay",
            file=sys.stderr,
        )
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(_run())
