"""Writers of replies that an export reports twice: either report may come first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from queue_core.recording.format import Reply
from tests.sim.importers.exports import test_console, test_n8n
from tests.sim.importers.writers import Importing

CLOUD_NUMBER = {"display_phone_number": "554730000000", "phone_number_id": "1050"}
PHONE = "5547911112222"


def cloud(**value: Any) -> dict[str, Any]:
    change = {
        "field": "messages",
        "value": {"messaging_product": "whatsapp", "metadata": CLOUD_NUMBER, **value},
    }
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}


def writers_of(imported: Importing, path: Path) -> list[str]:
    recording, work = imported(path)
    assert work.summary.left_out["another report of a reply"] == 1
    return [event.who for event in recording.others if isinstance(event, Reply)]


@pytest.mark.parametrize("is_backwards", [False, True])
def test_n8n_shows_a_send_and_the_webhook_of_its_message(
    imported: Importing, tmp_path: Path, is_backwards: bool
) -> None:
    own = {**test_n8n.webhook(), "data": {**test_n8n.SENT, "source": "unknown"}}
    executions = [test_n8n.execution(1), test_n8n.execution(2, body=own, Send=test_n8n.node({}))]
    path = tmp_path / "executions.json"
    path.write_text(json.dumps({"data": executions[::-1] if is_backwards else executions}), "utf-8")
    assert writers_of(imported, path) == ["bot"]


@pytest.mark.parametrize("is_backwards", [False, True])
def test_n8n_shows_a_send_through_the_cloud_api_and_its_status(
    imported: Importing, tmp_path: Path, is_backwards: bool
) -> None:
    message = {
        "from": PHONE,
        "id": "wamid.A",
        "timestamp": "1740831320",
        "type": "text",
        "text": {"body": "oi"},
    }
    answer = {
        "messaging_product": "whatsapp",
        "contacts": [{"wa_id": PHONE}],
        "messages": [{"id": "wamid.B"}],
    }
    status = {"id": "wamid.B", "status": "read", "timestamp": "1740831330", "recipient_id": PHONE}
    executions = [
        test_n8n.execution(1, body=cloud(messages=[message]), Send=test_n8n.node(answer)),
        test_n8n.execution(2, body=cloud(statuses=[status]), Send=test_n8n.node({})),
    ]
    path = tmp_path / "executions.json"
    path.write_text(json.dumps({"data": executions[::-1] if is_backwards else executions}), "utf-8")
    assert writers_of(imported, path) == ["bot"]


@pytest.mark.parametrize("header", [test_console.HEADER.format(level="LOG") + "\n", ""])
@pytest.mark.parametrize("is_backwards", [False, True])
def test_the_console_prints_a_reply_and_the_webhook_of_its_send(
    imported: Importing, tmp_path: Path, is_backwards: bool, header: str
) -> None:
    """The printed message names no instance if no header does."""
    reply = test_console.printed("claro", own="true", message_id="A2", source="unknown")
    sent = (
        f"{{\n  event: 'send.message',\n  instance: 'loja',\n  data: {reply.rstrip()},\n  apikey: null\n}}\n"
    )
    parts = [sent, reply] if is_backwards else [reply, sent]
    log = "\n".join(header + part for part in (test_console.printed(), *parts))
    path = tmp_path / "console.log"
    path.write_text(log, "utf-8")
    assert writers_of(imported, path) == ["bot"]
