"""`partitions`: what it shows, and a change of the number."""

from __future__ import annotations

import pytest

from queue_core.errors import PartitionsError
from queue_core.queue.partitions import turns
from tests.queue_core.bot import claimed_batch
from tests.queue_core.server.operator.console import Console, settings_for, url_of

PHONE = "5511999990000"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LOOK_S", 0.01)


async def test_the_number_is_shown(console: Console) -> None:
    assert (await console.run("partitions")).lines == [
        "this configuration  1 (QUEUE_PARTITIONS)",
        "noted in Redis      none: the number was never changed",
    ]
    assert console.client
    await console.client.hset("wa:{0}:layout", "partitions", "1>4")
    shown = await console.run("partitions", "--json")
    assert shown.json == {
        "partitions": 1,
        "noted": {"partitions": 1, "changingTo": 4, "isOpening": False},
    }
    words = "from 1 to 4: type `python -m queue_core partitions 4` unless it runs"
    assert words in (await console.run("partitions")).out


async def test_a_change_carries_conversations_and_refuses_commands_with_the_old_number(
    console: Console,
) -> None:
    await console.put_dead_letter("dead", "no luck", phone=PHONE)
    for number in range(30):
        await console.put(f"m{number}", phone=f"20{number}")
    changed = await console.run("partitions", "32")
    assert changed.code == 0
    assert "1 partition became 32 in " in changed.out
    assert "carried: 30 conversations, 1 dead letter." in changed.out
    assert "Set QUEUE_PARTITIONS to 32 and start all processes" in changed.out
    assert "closing the partitions: messages are refused until the change is complete" in changed.err
    assert PHONE not in changed.out + changed.err
    with pytest.raises(PartitionsError, match=r"set partitions \(QUEUE_PARTITIONS\) to 32"):
        await console.run("show", "bot", "201")
    checked = await console.run("check")
    assert checked.code == 1
    assert "the conversations lie in 32 partitions, but this process has 1" in checked.out
    assert console.client
    console.settings = settings_for(url_of(console.client), QUEUE_PARTITIONS="32")
    assert (await console.run("show", "bot", "201")).code == 0
    again = await console.run("partitions", "32", "--json")
    assert again.json["before"] == 32


async def test_running_turns_that_do_not_end_prevent_a_change(console: Console) -> None:
    await console.put("m1")
    await claimed_batch(console.queue)
    with pytest.raises(Exception, match="turns that are under way: 1"):
        await console.run("partitions", "4", "--timeout", "0.1s")
    assert (await console.run("status")).code == 0
