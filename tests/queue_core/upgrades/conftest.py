"""Fixtures: the folder of the release before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.queue_core.upgrades.releases import BEFORE, unpack


@pytest.fixture(scope="package")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to import the release before from."""
    return unpack(BEFORE, tmp_path_factory.mktemp(BEFORE))
