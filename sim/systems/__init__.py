"""The systems under test, a file each; `sim.engine.system` defines what a system is."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache

from sim.engine.system import System

__all__ = ["System", "all_systems"]


@cache
def all_systems() -> dict[str, type[System]]:
    """Return every system by name, sorted by `order`. Raises ValueError when two systems have the same name."""
    classes: list[type[System]] = []
    for module_info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        if module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{module_info.name}")
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
