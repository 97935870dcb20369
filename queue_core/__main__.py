"""`python -m queue_core`: the deployment's processes and the operator's commands."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line; says what to install where the libraries of a deployment are missing."""
    try:
        from queue_core.server.cli import main as run  # noqa: PLC0415 - what it needs may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("aiohttp", "dotenv", "prometheus_client", "pydantic"):
            print(
                f"{error.name} is missing: install the extra, pip install 'burstqueue[server]'",
                file=sys.stderr,
            )
            return 2
        raise
    return run()


if __name__ == "__main__":
    sys.exit(main())
