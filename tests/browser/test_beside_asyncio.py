"""Tests of pages and tests of asyncio can share a process, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.browser.conftest import Opened


def test_a_page_is_open(opened: Callable[..., Opened]) -> None:
    opened("sweep").check()


async def test_an_event_loop_runs_after_it() -> None:
    await asyncio.sleep(0)


def test_another_page_opens_after_that(opened: Callable[..., Opened]) -> None:
    opened("sweep").check()
