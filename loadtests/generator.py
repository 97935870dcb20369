"""Load generator, which sends the messages of the schedule on time, without waiting for answers."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import gevent
from gevent.event import Event as Signal
from gevent.pool import Pool
from geventhttpclient.client import HTTPClientPool
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtests.account.account import Account, Job
from loadtests.account.ledger import Sample
from loadtests.options import seconds_of
from loadtests.stack.credentials import webhook_secrets
from queue_core.channels.cloud import example as cloud
from queue_core.channels.evolution import example as evolution

DELIVERIES_MAX = 10
"""Attempts to deliver a message before the generator gives up. The Evolution API makes as many."""
REDELIVER_WAIT_MAX_S = 30.0
"""Longest wait before a delivery is repeated. With --redeliver 2s the attempts of a message span three minutes.

WhatsApp's Cloud API repeats for days, with waits that grow in the same way; a load test does not last that long.
"""
UNDER_WAY_MAX = 2_000
"""Largest number of open requests. A load that needs more of them makes the generator late."""
LATE_S_MAX = 60.0
"""Delay after which the rest of the load is given up. Such a run is invalid, except a ramp."""
CONNECTIONS_MAX = 512
TIMEOUT_S = 30.0
REPORT_EVERY_S = 1.0
INSTANCE = "load"
PHONE_NUMBER_ID = "100000000000001"

_log = logging.getLogger("loadtests")


class Generator:
    """Generator of one process. In a distributed run, the master only distributes, and the workers only send."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._samples: list[Sample] = []
        self._ended = Signal()
        self.account: Account | None = None
        """Account of the last run; None in a worker."""
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            runner.register_message("jobs", self._on_jobs)
            runner.register_message("end", self._on_end)
        elif isinstance(runner, MasterRunner):
            runner.register_message("samples", self._on_samples)

    @property
    def has_ended(self) -> bool:
        """True once `end` was called, here or in the master."""
        return self._ended.is_set()

    def distribute(self, account: Account) -> None:
        """Give each process its part of the schedule. All messages of a conversation go to the same process."""
        self.account = account
        self._ended.clear()
        runner = self._environment.runner
        if not isinstance(runner, MasterRunner):
            gevent.spawn(self._send, account.jobs, account.start_at)
            return
        workers = [worker.id for worker in runner.clients.all]
        account.set_senders(len(workers))
        for number, worker in enumerate(workers):
            part = [job for job in account.jobs if job.conversation % len(workers) == number]
            runner.send_message("jobs", {"jobs": part, "start_at": account.start_at}, worker)

    def end(self) -> None:
        """Stop all processes from sending. They finish open requests and report all samples."""
        if self.account:
            self.account.was_stopped = True
        self._ended.set()
        if isinstance(self._environment.runner, MasterRunner):
            self._environment.runner.send_message("end")

    def _send(self, jobs: list[Job], start_at: float) -> None:
        client = FastHttpSession(
            self._environment.host,
            self._environment.events.request,
            None,
            client_pool=HTTPClientPool(
                concurrency=CONNECTIONS_MAX, connection_timeout=TIMEOUT_S, network_timeout=TIMEOUT_S
            ),
            max_retries=1,  # the library must not repeat requests by itself
        )
        secrets = webhook_secrets(os.environ)
        under_way = Pool(UNDER_WAY_MAX)
        reporting = gevent.spawn(self._report_regularly)
        try:
            for job in jobs:
                intended = start_at + job.at_s
                if self._ended.wait(max(0.0, intended - time.time())):
                    break
                if time.time() - intended > LATE_S_MAX:
                    _log.error(
                        "%.0f s behind the schedule: the rest of the load is not sent; "
                        "choose a lower --rate, or let more processes send: -- --processes 2",
                        LATE_S_MAX,
                    )
                    break
                under_way.spawn(self._deliver, client, job, intended, secrets)
            under_way.join()
        finally:
            reporting.kill()
            self._report(is_last=True)

    def _deliver(self, client: Any, job: Job, intended: float, secrets: Mapping[str, str]) -> None:
        """POST a message until it is acknowledged, with growing waits, as a provider does."""
        options = self._environment.parsed_options
        assert options is not None
        path, body, headers = _webhook(options.channel, job, int(intended), secrets)
        sample = Sample(job.message_id, job.conversation, intended, time.time())
        wait_s = seconds_of(options, "redeliver")
        for delivery in range(DELIVERIES_MAX):
            if delivery and self._ended.wait(redelivery_wait_s(wait_s, delivery)):
                break
            response = client.post(
                path, data=body, headers={"Content-Type": "application/json", **headers}, name=path
            )
            sample.status = int(response.status_code or 0)
            if 200 <= sample.status < 300:
                sample.acknowledged_at = time.time()
                break
            sample.failures += 1
        self._samples.append(sample)

    def _report_regularly(self) -> None:
        while True:
            gevent.sleep(REPORT_EVERY_S)
            self._report(is_last=False)

    def _report(self, *, is_last: bool) -> None:
        samples, self._samples = self._samples, []
        runner = self._environment.runner
        if isinstance(runner, WorkerRunner):
            runner.send_message("samples", {"rows": [astuple(sample) for sample in samples], "last": is_last})
        elif self.account:
            self.account.add(samples, is_last=is_last)

    def _on_jobs(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._ended.clear()
        gevent.spawn(self._send, [Job(*job) for job in msg.data["jobs"]], msg.data["start_at"])

    def _on_end(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._ended.set()

    def _on_samples(self, environment: Environment, msg: Any, **_: Any) -> None:
        if self.account:
            rows = [Sample(*row) for row in msg.data["rows"]]
            self.account.add(rows, is_last=bool(msg.data["last"]))


def redelivery_wait_s(first_s: float, delivery: int) -> float:
    """Return the wait before delivery 1, 2, … is repeated: it doubles, up to REDELIVER_WAIT_MAX_S."""
    return min(first_s * 2.0 ** (delivery - 1), max(first_s, REDELIVER_WAIT_MAX_S))


def _webhook(
    channel: str, job: Job, unix_s: int, secrets: Mapping[str, str]
) -> tuple[str, bytes, dict[str, str]]:
    """Return path, body and headers of a message, as the Evolution API or the Cloud API sends it."""
    _, conversation, message_id, text = job
    phone = f"9990{conversation:09}"  # there is no country code 999
    if channel == "cloud" or (channel == "mixed" and conversation % 2):
        payload = cloud.example_webhook(
            message_id, text, phone=phone, instance=PHONE_NUMBER_ID, unix_s=unix_s
        )
        body = json.dumps(payload).encode()
        return cloud.PATH, body, cloud.example_headers(body, secrets["CLOUD_APP_SECRET"])
    payload = evolution.example_webhook(message_id, text, phone=phone, instance=INSTANCE, unix_s=unix_s)
    headers = evolution.example_headers(secrets["EVOLUTION_WEBHOOK_SECRET"])
    return evolution.PATH, json.dumps(payload).encode(), headers
