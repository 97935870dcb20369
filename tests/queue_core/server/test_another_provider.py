"""A provider that the product does not know: once it is registered, messages come in and replies go out."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from queue_core import InvalidSettingsError, QueueMessage
from queue_core.channels import registry
from queue_core.channels.authentication import is_secret
from queue_core.channels.base import Channel, Inbound, InvalidWebhookError, Post, Provider, UnauthorizedError
from queue_core.channels.errors import refusal_by_status
from queue_core.channels.form import Form
from queue_core.channels.phrases import Language
from queue_core.channels.sending import address, perform, send_all
from queue_core.environment import Url
from queue_core.http_client import post_json
from queue_core.message import Batch
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server import config
from tests.queue_core.server.site import open_site
from tests.queue_core.stub_http import Answer, stub

SECRET = "secret-of-the-pigeons"


class Pigeon(Provider):
    """A provider like Telegram: a bot in the path, a secret in a header, an update per post; `loft` is its API."""

    name = "pigeon"
    paths = ("/webhook/pigeon/{bot}",)
    enabled_by = "loft"
    secured_by = "secret"

    loft: Url = ""
    secret: SecretStr = SecretStr("")

    def authenticate(self, post: Post) -> None:
        if not is_secret(post.headers.get("X-Pigeon-Secret", ""), self.secret.get_secret_value()):
            raise UnauthorizedError("secret", "X-Pigeon-Secret does not match PIGEON_SECRET")

    def parse(self, post: Post, *, media_bytes_max: int, language: Language) -> Inbound:
        match post.payload:
            case {"update": int(number), "chat": int(chat), "text": str(text)}:
                data = {"channel": self.name, "kind": "text"}
                message = QueueMessage(
                    id=str(number),
                    instance_name=post.path["bot"],
                    user_phone=str(chat),
                    message=text,
                    message_data=data,
                )
                return Inbound(messages=(message,))
            case {"update": int()}:
                return Inbound(skipped={"event": 1})
        raise InvalidWebhookError("a post without an update")

    def open_channel(self, session: aiohttp.ClientSession, *, timeout_s: float) -> Channel:
        return PigeonChannel(session, self.loft, timeout_s)


class PigeonChannel:
    """A channel that sends by `POST /bots/{bot}`."""

    name = "pigeon"
    typing_every_s = 0.0

    def __init__(self, session: aiohttp.ClientSession, loft: str, timeout_s: float) -> None:
        self._session = session
        self._loft = loft
        self._timeout_s = timeout_s
        self.form = Form(characters_max=4_096)

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        url = address(self._loft, "bots", batch.instance_name)

        async def send_part(part: str) -> None:
            body = {"chat": int(batch.user_phone), "text": part}
            answer = await perform(post_json(self._session, url, body, timeout_s=self._timeout_s))
            if not answer.is_success:
                raise refusal_by_status(answer, detail="the loft", settings="PIGEON_LOFT").error()

        return send_all(self.form.parts_of(reply), send_part, after=batch.parts_sent)

    async def show_typing(self, message: QueueMessage) -> None:
        """Pigeons do not type."""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PROVIDERS", (*registry.PROVIDERS, Pigeon))


def update(number: int, **content: Any) -> dict[str, Any]:
    return {"update": number, "chat": 77, **content}


async def test_messages_come_in_and_replies_go_out(redis_server: EmbeddedRedis) -> None:
    headers = {"X-Pigeon-Secret": SECRET}
    path = "/webhook/pigeon/homing"
    async with (
        stub(Answer({})) as loft,
        open_site(
            REDIS_URL=redis_server.url,
            PIGEON_LOFT=f"{loft.url}/",
            PIGEON_SECRET=SECRET,
            QUEUE_WINDOW_MS="0",
        ) as site,
    ):
        assert await site.post(path, update(1, text="coo")) == (
            401,
            {"error": "X-Pigeon-Secret does not match PIGEON_SECRET"},
        )
        assert await site.post(path, update(1, text="coo"), headers=headers) == (200, {"queued": 1})
        assert await site.post(path, update(1, text="coo"), headers=headers) == (200, {"duplicate": 1})
        assert await site.post(path, {"update": 2}, headers=headers) == (200, {"skipped": {"event": 1}})
        assert await site.post(path, {}, headers=headers) == (400, {"error": "a post without an update"})
        assert (await site.client.get(path)).status == 405, "it has no handshake"
        assert (await site.post("/webhook/cloud", {}))[0] == 404, "only the pigeons are configured"
        report = await site.runtime.new_processor().process_all_queues()
        exposition = await (await site.client.get("/metrics")).text()
    assert (report.completed, site.printed) == (1, [])
    assert loft.paths == ["/bots/homing"]
    assert loft.bodies[0]["chat"] == 77
    assert "coo" in loft.bodies[0]["text"]
    assert 'channel="pigeon",outcome="ok"' in exposition


def test_its_settings_are_checked_like_all_others() -> None:
    with pytest.raises(InvalidSettingsError, match="PIGEON_LOFT: "):
        config.load({"PIGEON_LOFT": "ftp://loft"}, os.devnull)
    public = {"HOST": "0.0.0.0"}
    with pytest.raises(InvalidSettingsError, match="CLOUD_APP_SECRET or PIGEON_SECRET"):
        config.load(public, os.devnull, takes_webhooks=True)
    settings = config.load(
        {**public, "PIGEON_SECRET": SECRET, "PIGEON_LOFT": "http://loft"}, os.devnull, takes_webhooks=True
    ).settings
    assert settings.has_channel
    assert SECRET not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
