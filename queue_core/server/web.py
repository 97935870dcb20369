"""Web app of a process: webhooks, calls for schedulers, health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from queue_core.channels.authentication import bearer_token, is_secret
from queue_core.errors import QueueError
from queue_core.queue.health.health import HealthReport, examine
from queue_core.queue.processing.processor import Processor
from queue_core.server.answers import json_answer, refusal
from queue_core.server.body import BadBodyError, parse_json, read_body
from queue_core.server.runtime import Runtime
from queue_core.server.webhooks import Webhooks

HEALTH_KEPT_S = 2.0
"""Time for which the result of one examination answers all requests for health and metrics."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Web:
    """Web app of one process. When `stopping` is set, it takes no more work, and /readyz says so."""

    def __init__(
        self, runtime: Runtime, stopping: asyncio.Event, *, webhooks: Webhooks | None = None
    ) -> None:
        self.stopping = stopping
        self._runtime = runtime
        self._webhooks = webhooks
        self._examined: tuple[float, HealthReport] | None = None
        self._examining = asyncio.Lock()

    def app(self) -> web.Application:
        """Make the app: with health and metrics always, with the other routes only if it serves webhooks."""
        app = web.Application(
            client_max_size=self._runtime.settings.body_bytes_max,
            middlewares=[_errors_as_json],
        )
        app.add_routes(
            [
                web.get("/healthz", self.healthz),
                web.get("/readyz", self.readyz),
                web.get("/metrics", self.metrics),
            ]
        )
        if self._webhooks:
            app.add_routes(
                [
                    *self._webhooks.routes(),
                    web.post("/queue-processor", self.queue_processor),
                    web.post("/queue-monitor", self.queue_monitor),
                    web.post("/process-queued-messages", self.process_queued_messages),
                ]
            )
        return app

    # Calls for supervisors and load balancers.

    async def healthz(self, request: web.Request) -> web.Response:
        """Answer that the process is alive; does not look at Redis."""
        return json_answer({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        """Answer 200 if the process can take work.

        A web process can while Redis is away, by asking the AI itself, but not with the legacy buffer, nor when Redis
        refuses commands.
        """
        report = await self._health()
        answers_directly = self._webhooks is not None and self._runtime.settings.use_queue_system
        can_work = (report.reachable or answers_directly) and not report.is_refused
        is_ready = can_work and not self.stopping.is_set()
        body = {
            "ready": is_ready,
            "stopping": self.stopping.is_set(),
            "redis": "refuses" if report.is_refused else "up" if report.reachable else "down",
        }
        return json_answer(body, status=200 if is_ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics for Prometheus."""
        self._runtime.metrics.health(await self._health())
        body, content_type = self._runtime.metrics.exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})

    # Calls for schedulers.

    async def queue_processor(self, request: web.Request) -> web.Response:
        """Make one pass over all turns that are due, and answer with a ProcessingReport."""
        self._check_token(request)
        return await self._pass(lambda processor: processor.process_all_queues())

    async def process_queued_messages(self, request: web.Request) -> web.Response:
        """Make a pass over one conversation, if it is due: {"instance": …, "phone": …}."""
        self._check_token(request)
        try:
            wanted = msgspec.convert(parse_json(await read_body(request)), _Conversation)
        except BadBodyError as error:
            return json_answer({"error": str(error)}, status=error.status)
        except msgspec.ValidationError:
            return json_answer({"error": 'post {"instance": "…", "phone": "…"}'}, status=400)
        return await self._pass(
            lambda processor: processor.process_conversation(wanted.instance, wanted.phone)
        )

    async def queue_monitor(self, request: web.Request) -> web.Response:
        """Examine and repair the queue, and answer with a HealthReport and the numbers of repairs."""
        self._check_token(request)
        report, cleaned = await self._runtime.examine_and_repair()
        body = {**msgspec.to_builtins(report), "cleaned": cleaned}
        return json_answer(body, status=200 if report.is_healthy else 503)

    async def _pass(self, work: Callable[[Processor], Awaitable[msgspec.Struct]]) -> web.Response:
        if self.stopping.is_set():
            return json_answer({"error": "this process is stopping: send the request again"}, status=503)
        processor = self._runtime.new_processor()
        task = asyncio.ensure_future(work(processor))
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await processor.stop()
                await asyncio.wait({task}, timeout=self._runtime.settings.grace_s)
                task.cancel()
            return json_answer(msgspec.to_builtins(await task))
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            return json_answer({"error": "this process is stopping: send the request again"}, status=503)
        except QueueError as error:
            return json_answer({"error": str(error)}, status=503)
        finally:
            stopping.cancel()

    def _check_token(self, request: web.Request) -> None:
        token = self._runtime.settings.operator_token.get_secret_value()
        if not token:
            raise refusal(web.HTTPForbidden, "this call is off until OPERATOR_TOKEN is set")
        if not is_secret(bearer_token(request.headers), token):
            raise refusal(web.HTTPUnauthorized, "send the header Authorization: Bearer OPERATOR_TOKEN")

    async def _health(self) -> HealthReport:
        clock = asyncio.get_running_loop().time
        async with self._examining:
            if self._examined is None or clock() - self._examined[0] > HEALTH_KEPT_S:
                self._examined = clock(), await examine(self._runtime.queue, is_thorough=False)
            return self._examined[1]


class _Conversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    instance: str
    phone: str


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer errors as JSON, without a traceback."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.content_type == "application/json" or error.status < 400:
            raise
        kept = {name: value for name, value in error.headers.items() if name == "Allow"}
        return json_answer({"error": error.reason}, status=error.status, headers=kept)
