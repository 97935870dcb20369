"""`python -m queue_core`: the processes of a deployment and the operator's commands."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line, or say what to install where a package that it needs is missing."""
    try:
        if sys.argv[1:2] == ["redis"]:  # `pip install .` brings all that it needs
            from queue_core.redis_server.command import main as run_redis  # noqa: PLC0415 - a package may be missing

            return run_redis(sys.argv[1:])
        from queue_core.server.cli import main as run  # noqa: PLC0415 - a package may be missing

        return run()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package == "queue_core" or package in sys.stdlib_module_names:
            raise  # a mistake in this code, or a broken Python: installing does not help
        print(
            f"queue_core: the package {package} is missing: in the checkout of burstqueue, type "
            "pip install '.[server,embedded]', or make serve; without it only the command `redis` works",
            file=sys.stderr,
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
