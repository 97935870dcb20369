"""The systems under test: a file each here, and in `market/` those that others run.

`sim.engine.system` defines what a system is.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from functools import cache

from reports.results.systems import QUEUE
from sim.engine.system import System

__all__ = ["System", "all_systems", "chosen_systems"]

EVERYTHING = "all"
MARKET = "market"
GROUPS = (MARKET, EVERYTHING)
"""Names that stand for several systems: the queue and what others run, and all systems."""


@cache
def all_systems() -> dict[str, type[System]]:
    """Return every system by name, sorted by `order`. Raises ValueError when two systems have the same name."""
    classes: list[type[System]] = []
    prefix = f"{__name__}."
    for module_info in sorted(pkgutil.walk_packages(__path__, prefix), key=lambda info: info.name):
        if module_info.name.removeprefix(prefix).startswith("_"):
            continue
        module = importlib.import_module(module_info.name)
        classes += [
            member
            for _, member in sorted(vars(module).items())
            if inspect.isclass(member)
            and issubclass(member, System)
            and not inspect.isabstract(member)
            and member.__module__ == module.__name__
        ]
    systems: dict[str, type[System]] = {}
    for system in sorted(classes, key=lambda system: (system.order, system.name)):
        if system.name in systems:
            raise ValueError(f"two systems are called {system.name!r}: {systems[system.name]} and {system}")
        systems[system.name] = system
    return systems


def chosen_systems(names: Sequence[str]) -> list[str]:
    """Return the systems that names and groups stand for, in their order. No name means all but those of the market."""
    known = all_systems()
    groups = {
        MARKET: [name for name, system in known.items() if system.is_market or name == QUEUE],
        EVERYTHING: list(known),
    }
    usual = [name for name, system in known.items() if not system.is_market]
    wanted = {system for name in names for system in groups.get(name, [name])} if names else set(usual)
    return [name for name in known if name in wanted]
