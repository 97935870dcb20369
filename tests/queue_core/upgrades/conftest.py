"""Fixture: the folder of the previous release."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.queue_core.upgrades.releases import BEFORE, unpack


@pytest.fixture(scope="package")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder from which to import the previous release."""
    return unpack(BEFORE, tmp_path_factory.mktemp(BEFORE))
