"""All kinds of messages in all providers' shapes go through the web app: none is refused, none is lost."""

from __future__ import annotations

import json
from typing import Any

from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.channels.corpus import messages, others
from tests.queue_core.server.site import open_site


def numbered(number: int, body: Any) -> Any:
    """Return the webhook with the number in the id of its message."""
    text = json.dumps(body)
    for old in ("3EB0", "wamid.1", "M1"):
        text = text.replace(f'{old}"', f'{old}-{number}"')
    return json.loads(text)


async def test_every_body_is_acknowledged_and_every_message_queued(redis_server: EmbeddedRedis) -> None:
    with_message, without = list(messages()), list(others())
    assert len(with_message) + len(without) >= 200
    async with open_site(REDIS_URL=redis_server.url, QUEUE_LATE_MESSAGES="answer") as site:
        changes = 0
        for number, (path, body) in enumerate(with_message):
            answer = await site.post(path, numbered(number, body))
            assert answer in ((200, {"queued": 1}), (200, {"changed": 1})), body
            changes += answer == (200, {"changed": 1})
        for path, body in without:
            status, answer = await site.post(path, body)
            assert (status, list(answer)) == (200, ["skipped"]), body
        queued = await site.all_queued()
        assert [letter async for letter in site.runtime.queue.iterate_dead_letters()] == []
    assert len(queued) == len(with_message) - changes > 150
    assert all(message.message or message.changed == "deleted" for message in queued), (
        "the AI reads something of each"
    )
