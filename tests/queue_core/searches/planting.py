"""Planting of bugs in Lua scripts, to see whether the checks find them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from queue_core.redis import scripts
from queue_core.redis.scripts import partitions
from queue_core.redis.scripts.gathered import GatheredScript
from queue_core.redis.scripts.loader import LIBRARIES, Call, LuaScript

STUBS: tuple[type[Call[Any]], ...] = (
    scripts.Enqueue,
    scripts.Change,
    scripts.ReadName,
    scripts.Join,
    scripts.DeleteAlias,
    scripts.PutBehind,
    scripts.Claim,
    scripts.Look,
    scripts.Discard,
    scripts.Extend,
    scripts.RecordReply,
    scripts.RecordSent,
    scripts.Complete,
    scripts.Fail,
    scripts.Requeue,
    scripts.Rescue,
    scripts.Survey,
    scripts.Withdraw,
    scripts.Restore,
    scripts.Mend,
    scripts.Forget,
    scripts.DropOld,
    scripts.Inventory,
    scripts.Pace,
    scripts.NoteSent,
    scripts.ReportSent,
    scripts.MatchReports,
    scripts.SettleReport,
    scripts.NoteUndelivered,
    scripts.ForgetSent,
    scripts.Keep,
    partitions.ClosePartition,
    partitions.OpenPartition,
    partitions.Pack,
    partitions.HandOver,
    partitions.Export,
    partitions.UnpackBundles,
    partitions.Clear,
)
ALL: tuple[LuaScript, ...] = tuple(stub.script for stub in STUBS)
# Forms of scripts that carry out several calls in one EVALSHA.
GATHERED = tuple(stub.gathered for stub in STUBS if stub.gathered)


def plant(monkeypatch: pytest.MonkeyPatch, name: str, sound: str, broken: str) -> None:
    """Replace `sound` by `broken` in script `name`, or in each script with library `name`, until the test ends."""
    chosen: list[LuaScript | GatheredScript] = [*ALL, *GATHERED]
    chosen = [script for script in chosen if name in (*LIBRARIES, script.name)]
    forms = [
        (sound, broken),
        (sound.replace("\n", "\n  "), broken.replace("\n", "\n  ")),
    ]  # the loader indents the code that `on_demand()` calls
    planted = 0
    for script in chosen:
        source = script.source
        for wanted, instead in dict(forms).items():
            assert source.count(wanted) <= 1, f"{sound!r} is in {script.name}.lua more than once"
            source = source.replace(wanted, instead)
        if source == script.source:
            continue
        planted += 1
        # A gathered script computes its SHA1 from its source at the first use, so the SHA1 is replaced first.
        monkeypatch.setattr(script, "sha", hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
        monkeypatch.setattr(script, "source", source)
    assert planted, f"{sound!r} is not in {name}.lua"
