"""Sends a process's part of the schedule, each message at its moment, whatever the answers do."""

from __future__ import annotations

import os
import time
from dataclasses import astuple
from typing import Any

import gevent
from gevent.pool import Pool
from geventhttpclient.client import HTTPClientPool
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtests.account.account import Account, Job
from loadtests.account.ledger import Sample
from loadtests.options import seconds_of
from loadtests.payloads import Channel, webhook
from loadtests.stack.credentials import webhook_secrets

DELIVERIES_MAX = 6
"""A message that is refused so often is given up, as a provider does."""
UNDER_WAY_MAX = 2_000
"""More requests than this at once, and the generator falls behind; the run is then invalid."""
CONNECTIONS_MAX = 512
TIMEOUT_S = 30.0
REPORT_EVERY_S = 1.0


class Generator:
    """One in each process. In a distributed run the master's only deals out, the workers' only play."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._playing: gevent.Greenlet[..., None] | None = None
        self._samples: list[Sample] = []
        self.account: Account | None = None
        """Where it is kept, not in a worker of several."""
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            runner.register_message("jobs", self._on_jobs)
        elif isinstance(runner, MasterRunner):
            runner.register_message("samples", self._on_samples)

    def deal(self, account: Account) -> None:
        """Hands each process its part: all messages of a conversation to the same one."""
        self.account = account
        runner = self._environment.runner
        if not isinstance(runner, MasterRunner):
            self._take(account.jobs, account.start_at)
            return
        workers = [worker.id for worker in runner.clients.all]
        account.expect_from(len(workers))
        for number, worker in enumerate(workers):
            part = [job for job in account.jobs if job[1] % len(workers) == number]
            runner.send_message("jobs", {"jobs": part, "start_at": account.start_at}, worker)

    def stop(self) -> None:
        """Sends no more; what was sent is reported."""
        if self._playing is not None:
            self._playing.kill(block=False)

    def _play(self, jobs: list[Job], start_at: float) -> None:
        """Sends everything; samples go to the account as they are complete."""
        client = FastHttpSession(
            self._environment.host,
            self._environment.events.request,
            None,
            client_pool=HTTPClientPool(
                concurrency=CONNECTIONS_MAX, connection_timeout=TIMEOUT_S, network_timeout=TIMEOUT_S
            ),
            max_retries=1,  # a request is never repeated unseen
        )
        secrets = webhook_secrets(os.environ)
        under_way = Pool(UNDER_WAY_MAX)
        reporting = gevent.spawn(self._report_regularly)
        try:
            for job in jobs:
                intended = start_at + job[0]
                gevent.sleep(max(0.0, intended - time.time()))
                under_way.spawn(self._deliver, client, job, intended, secrets)
            under_way.join()
        finally:
            under_way.kill()
            reporting.kill()
            self._report(is_last=True)

    def _deliver(self, client: Any, job: Job, intended: float, secrets: dict[str, str]) -> None:
        """POSTs a message until it is acknowledged, as a provider would, with waits that double."""
        _, conversation, message_id, text = job
        channel = self._channel(conversation)
        path, body, headers = webhook(channel, conversation, message_id, text, int(intended), secrets)
        sample = Sample(message_id, conversation, intended, time.time())
        options = self._environment.parsed_options
        assert options is not None
        wait_s = seconds_of(options, "redeliver")
        for delivery in range(DELIVERIES_MAX):
            if delivery:
                gevent.sleep(wait_s * 2 ** (delivery - 1))
            response = client.post(
                path, data=body, headers={"Content-Type": "application/json", **headers}, name=path
            )
            sample.status = int(response.status_code or 0)
            if 200 <= sample.status < 300:
                sample.acknowledged_at = time.time()
                break
            sample.failures += 1
        self._samples.append(sample)

    def _channel(self, conversation: int) -> Channel:
        chosen = self._environment.parsed_options.channel  # type: ignore[union-attr]
        if chosen == "mixed":
            return "cloud" if conversation % 2 else "evolution"
        return chosen  # type: ignore[no-any-return]

    def _report_regularly(self) -> None:
        while True:
            gevent.sleep(REPORT_EVERY_S)
            self._report(is_last=False)

    def _report(self, *, is_last: bool) -> None:
        samples, self._samples = self._samples, []
        runner = self._environment.runner
        if isinstance(runner, WorkerRunner):
            runner.send_message("samples", {"rows": [astuple(one) for one in samples], "last": is_last})
        elif self.account:
            self.account.add(samples, is_last=is_last)

    def _take(self, jobs: list[Job], start_at: float) -> None:
        self._playing = gevent.spawn(self._play, jobs, start_at)

    def _on_jobs(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._take([tuple(job) for job in msg.data["jobs"]], msg.data["start_at"])

    def _on_samples(self, environment: Environment, msg: Any, **_: Any) -> None:
        if self.account:
            rows = [Sample(*row) for row in msg.data["rows"]]
            self.account.add(rows, is_last=bool(msg.data["last"]))
