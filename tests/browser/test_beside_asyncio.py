"""Tests of pages and tests of asyncio can share a process, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.browser.conftest import Opened


def test_a_page_opens_before_an_event_loop_runs(opened: Callable[..., Opened]) -> None:
    opened("sweep").check()


async def test_an_event_loop_runs_after_a_page_was_open() -> None:
    await asyncio.sleep(0)


def test_a_page_opens_after_an_event_loop_ran(opened: Callable[..., Opened]) -> None:
    opened("sweep").check()
