"""docs/server.md: the body that the `http` AI gets is as the page shows it."""

from __future__ import annotations

import json
from typing import get_args

from queue_core import Batch, QueueMessage
from queue_core.ai.generic_http import _body
from queue_core.message import Trigger
from tests.docs.documents import ROOT


def test_the_body_is_as_the_page_shows_it() -> None:
    page = (ROOT / "docs" / "server.md").read_text("utf-8")
    shown = json.loads(page.split("## The AI")[1].split("```json")[1].split("```")[0])
    batch = Batch(
        instance_name=shown["instance"],
        user_phone=shown["phone"],
        messages=tuple(
            QueueMessage(
                id=message["id"],
                instance_name=shown["instance"],
                user_phone=shown["phone"],
                message=message["text"],
                message_data=message["data"],
                timestamp=message["timestamp"],
            )
            for message in shown["messages"]
        ),
        token=shown["fencing_token"],
        processor_id="worker",
        attempt=shown["attempt"],
        trigger=shown["trigger"],
        due_at_ms=shown["due_at"],
        claimed_at_ms=shown["claimed_at"],
    )
    assert shown["trigger"] in get_args(Trigger)
    assert json.loads(json.dumps(_body(batch))) == shown
