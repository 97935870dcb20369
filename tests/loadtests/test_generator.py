"""Deliveries of the generator, in a process of their own: Locust replaces parts of the standard library."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

CODE = """
import argparse, json, sys
from types import SimpleNamespace
from loadtests.generator import DELIVERIES_MAX, Generator, Job, redelivery_wait_s
from locust.env import Environment

environment = Environment(parsed_options=argparse.Namespace(channel="evolution", redeliver="0s"))
generator = Generator(environment)
secrets = {"EVOLUTION_WEBHOOK_SECRET": "secret"}

def delivered(statuses):
    answers, bodies = iter(statuses), set()
    def post(path, data, **_):
        bodies.add(data)
        return SimpleNamespace(status_code=next(answers))
    generator._deliver(SimpleNamespace(post=post), Job(0.0, 1, "m1", "hello"), 0.0, secrets)
    sample = generator._samples.pop()
    return [sample.acknowledged_at is not None, sample.status, sample.failures, len(bodies)]

print(json.dumps({
    "acknowledged": delivered([503, 0, 503, 200]),
    "given up": delivered([503] * DELIVERIES_MAX),
    "waits": [redelivery_wait_s(2.0, delivery) for delivery in range(1, DELIVERIES_MAX)],
    "long waits": [redelivery_wait_s(45.0, delivery) for delivery in range(1, 4)],
}))
"""


def test_a_message_is_delivered_again_with_growing_waits_until_it_is_acknowledged_or_given_up() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    shown: dict[str, Any] = json.loads(ended.stdout)
    assert shown == {
        "acknowledged": [True, 200, 3, 1],
        "given up": [False, 503, 10, 1],
        "waits": [2, 4, 8, 16, 30, 30, 30, 30, 30],
        "long waits": [45, 45, 45],
    }
