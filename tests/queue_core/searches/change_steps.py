"""Steps of `test_invariants.py` that edit and delete messages in every state."""

from __future__ import annotations

from tests.queue_core.searches.driver import Driver

C = ("bot", "c")
DAY_MS = 86_400_000


async def messages_are_changed(driver: Driver) -> None:
    """While they wait, before they come, and after their answer."""
    for number in (60, 61):
        await driver.enqueue(C, f"c1{number}", age_ms=0)
    assert await driver.change(C, "edit", "c160", "e1", age_ms=0, lost=True) == "changed"
    assert await driver.change(C, "edit", "c160", "e2", age_ms=500) == "changed"
    assert await driver.change(C, "deletion", "c161", "e3") == "changed"
    assert await driver.change(C, "edit", "c161", "e4") == "changed"
    assert await driver.change(C, "edit", "c162", "e5", age_ms=0) == "queued"
    assert await driver.change(C, "deletion", "c163", "e6") == "changed"
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.text) == (("c160", "e5"), "text of e1\ntext of e5")
    await driver.complete(batch)
    for number in (62, 63):
        await driver.enqueue(C, f"c1{number}")
    driver.pass_time(8_000)
    assert await driver.claim("p1") == ()
    assert await driver.change(C, "edit", "c160", "e7", age_ms=100) == "queued"
    assert await driver.change(C, "edit", "c160", "e8") == "changed"
    assert await driver.change(C, "edit", "c162", "e9", age_ms=DAY_MS + 1) == "changed"
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.text) == (("e7",), "text of e8")
    await driver.complete(batch)
    assert await driver.change(C, "deletion", "c160", "e10") == "changed"
    await driver.enqueue(C, "c164")
    assert await driver.change(C, "edit", "c164", "e11") == "changed"
    assert await driver.withdraw(C, "c164") == "withdrawn"
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert batch.ids == ("e11",)
    await driver.complete(batch)


async def messages_in_progress_are_changed(driver: Driver) -> None:
    """While their reply can still be made again, when it cannot, while an attempt fails, and once it is recorded."""
    for number in (70, 71, 72):
        await driver.enqueue(C, f"c1{number}")
    (batch,) = await driver.claim("p1")
    driver.pass_time(1_000)
    assert await driver.change(C, "edit", "c170", "e20") == "changed"
    assert await driver.record_reply(batch, "dropped", lost=True)
    driver.pass_time(7_000)
    (batch,) = await driver.claim("p1")
    assert batch.text.startswith("text of e20")
    assert await driver.change(C, "edit", "c171", "e21") == "queued"
    assert await driver.change(C, "deletion", "c172", "e22") == "queued"
    await driver.fail(batch, after_ms=0)
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.attempt) == (("c170", "e21"), 2)
    await driver.record_reply(batch, "hello")
    assert await driver.change(C, "deletion", "c170", "e23") == "changed"
    assert await driver.change(C, "edit", "e21", "e24") == "queued"
    await driver.complete(batch)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    await driver.complete(batch)
    for number in (73, 74, 75):
        await driver.enqueue(C, f"c1{number}")
    (batch,) = await driver.claim("p1")
    assert await driver.change(C, "edit", "c173", "e25") == "changed"
    await driver.complete(batch)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert batch.ids == ("e25",)
    await driver.complete(batch)
    for number in (76, 77, 78):
        await driver.enqueue(C, f"c1{number}")
    (batch,) = await driver.claim("p1")
    assert await driver.change(C, "deletion", "c176", "e26") == "changed"
    assert await driver.change(C, "edit", "c177", "e27") == "changed"
    await driver.fail(batch, dead=True)
    assert await driver.claim("p1") == ()
    await driver.enqueue(C, "c179")
    assert await driver.change(C, "edit", "c179", "e28", age_ms=0) == "changed"
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert batch.text == "text of e28"
    assert await driver.change(C, "edit", "c179", "e29", age_ms=9_000) == "changed"
    assert await driver.record_reply(batch, "to e28")
    await driver.complete(batch)
    assert await driver.change(C, "edit", "c179", "e50", age_ms=9_000) == "changed"


async def edited_messages_are_deleted(driver: Driver) -> None:
    """With edits in the archive, in the list and in progress, and with one that waits while its message is answered."""
    await driver.enqueue(C, "c180")
    for number in (40, 41):
        driver.pass_time(8_000)
        (batch,) = await driver.claim("p1")
        await driver.complete(batch)
        assert await driver.change(C, "edit", "c180", f"e{number}") == "queued"
    assert await driver.change(C, "deletion", "c180", "e42") == "changed"
    assert await driver.change(C, "edit", "c180", "e48") == "changed"
    await driver.enqueue(C, "c181")
    for number in (43, 44):
        driver.pass_time(8_000)
        (batch,) = await driver.claim("p1")
        driver.pass_time(8_000)
        assert await driver.change(C, "edit", "c181", f"e{number}") == "queued"
        await driver.complete(batch)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    driver.pass_time(8_000)
    assert await driver.change(C, "deletion", "c181", "e45") == "queued"
    await driver.complete(batch)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert batch.ids == ("e45",)
    await driver.complete(batch)
    await driver.enqueue(C, "c182")
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert await driver.change(C, "edit", "c182", "e46") == "queued"
    assert await driver.change(C, "deletion", "c182", "e47") == "queued"
    await driver.fail(batch, after_ms=0)
    assert await driver.claim("p1") == ()
