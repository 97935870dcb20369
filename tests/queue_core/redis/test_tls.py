"""TLS: clusters and sentinels over it, and what a person reads when a certificate is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from selectors import BaseSelector

import pytest

from loadtests.replicated_redis.servers import ReplicatedServers
from queue_core import (
    InvalidSettingsError,
    MessageQueue,
    QueueSettings,
    QueueUnavailableError,
    connect,
)
from queue_core.redis import tls
from queue_core.redis.pool import close_at_once
from queue_core.redis.runner import explain
from tests.queue_core.redis.nodes.test_real_nodes import message, traffic_on
from tests.queue_core.redis.servers import CERTIFICATE, server_tls
from tests.queue_core.server.operator.console import Console, settings_for


@pytest.fixture(params=["cluster", "sentinel"])
def servers(request: pytest.FixtureRequest) -> ReplicatedServers:
    servers: ReplicatedServers = request.getfixturevalue(f"{request.param}_servers")
    return servers


@pytest.fixture(autouse=True)
async def _all_sockets_are_closed() -> AsyncIterator[None]:
    """Let the event loop run until its sockets are closed.

    If an attempt to connect is cancelled at the end of its handshake, asyncio waits for the server's end of TLS.
    """
    yield
    selector: BaseSelector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # of asyncio
    while len(selector.get_map()) > 1:  # noqa: ASYNC110 - sockets close by themselves; the loop's own remains
        await asyncio.sleep(0.01)


def over_tls(servers: ReplicatedServers, options: str = "") -> str:
    return servers.url.replace("redis+", "rediss+") + options


async def test_a_primary_is_killed_and_traffic_goes_on(servers: ReplicatedServers) -> None:
    async with traffic_on(over_tls(servers, f"?ssl_ca_certs={CERTIFICATE}")) as traffic:
        await traffic.queue.check()
        dead = servers.primaries()[0]
        dead.kill()
        await asyncio.to_thread(servers.await_failover, dead)
        await traffic.wait_until_stored(100)
    assert set(traffic.sent.values()) == {1}


async def test_without_the_right_ca_people_read_what_to_do(
    servers: ReplicatedServers, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        r"certificate of 127\.0\.0\.1:\d+ is refused \(self-signed certificate\): .*\?ssl_ca_certs=ca\.pem"
    )
    async with connect(over_tls(servers)) as client:
        queue = MessageQueue(client, QueueSettings(redis_deadline_ms=2_000))
        with pytest.raises(QueueUnavailableError, match=words):
            await queue.check()
        with pytest.raises(QueueUnavailableError, match=words):
            await queue.enqueue(message("m", 1))
    console = Console(settings_for(over_tls(servers)), capsys)
    check = await console.run("check")
    assert check.code == 1
    assert "?ssl_ca_certs=ca.pem" in check.out + check.err
    assert "_ssl" not in check.out + check.err


def test_a_connection_that_is_made_again_reads_renewed_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may run for longer than its certificate is valid."""
    first, second = (tls.TlsConnection(ssl_cert_reqs="none") for _ in range(2))
    read = first._connection_arguments()["ssl"]
    assert first._connection_arguments()["ssl"] is second._connection_arguments()["ssl"] is read
    monkeypatch.setattr(tls, "KEPT_S", 0.0)
    assert first._connection_arguments()["ssl"] is not read


async def test_a_connection_is_closed_at_once() -> None:
    """Over TLS a close waits for the server's; if the event loop ends before, the socket stays open."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(b"+OK\r\n" * 3)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_tls())
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = connect(f"rediss://127.0.0.1:{port}?ssl_ca_certs={CERTIFICATE}&protocol=2")
        connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # in redis-py
        await connection.connect()
        socket = connection._writer.get_extra_info("socket")
        await close_at_once(connection)
        await asyncio.sleep(0)
        assert socket.fileno() == -1


@pytest.mark.parametrize("address", ["rediss://h", "rediss+cluster://h", "rediss+sentinel://h/main"])
@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ("ssl_ca_certs={absent}", "no such file"),
        ("ssl_ca_certs={text}", "no certificate"),
        (f"ssl_ca_certs={CERTIFICATE}&ssl_certfile={{absent}}", "no such file"),
    ],
)
def test_a_file_of_certificates_that_cannot_be_read(
    address: str, options: str, cause: str, tmp_path: Path
) -> None:
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    named = options.format(absent=tmp_path / "absent.pem", text=text)
    with pytest.raises(InvalidSettingsError, match=rf"\({cause}.*\): ssl_ca_certs, ssl_certfile"):
        connect(f"{address}?{named}")


CONNECTING = "Error 1 connecting to h:1. [SSL: {}] {} (_ssl.c:1006)."
READING = "Error while reading from h:1 : (1, '[SSL: {}] {} (_ssl.c:2580)')"
VERIFY = "CERTIFICATE_VERIFY_FAILED"


@pytest.mark.parametrize(
    ("form", "reason", "text", "words"),
    [
        (
            CONNECTING,
            VERIFY,
            "certificate verify failed: unable to get local issuer certificate",
            "the certificate of h:1 is refused (unable to get local issuer certificate): name the file of the CA",
        ),
        (
            CONNECTING,
            VERIFY,
            "certificate verify failed: IP address mismatch, certificate is not valid for '10.0.0.1'.",
            "is refused (IP address mismatch, certificate is not valid for '10.0.0.1'): use an address that stands in",
        ),
        (CONNECTING, VERIFY, "certificate verify failed: certificate has expired", "expired): renew it"),
        (
            CONNECTING,
            "WRONG_VERSION_NUMBER",
            "wrong version number",
            "no TLS with h:1 (wrong version number): is this its port for TLS?",
        ),
        (
            READING,
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "tlsv13 alert certificate required",
            "h:1 wants to see a certificate that it trusts (tlsv13 alert certificate required): name it and its key",
        ),
        (
            "{0:.0}[SSL: {0}] {1} (_ssl.c:1)",
            "TLSV1_ALERT_UNKNOWN_CA",
            "unknown ca",
            "the server wants to see",
        ),
    ],
)
def test_what_tls_refuses_is_explained(form: str, reason: str, text: str, words: str) -> None:
    sentence = str(explain(ConnectionError(form.format(reason, text))))
    assert sentence.startswith("Redis cannot be used now: ")
    assert words in sentence
    assert "ssl.c" not in sentence
