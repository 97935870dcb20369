"""The WhatsApp Cloud API."""

from __future__ import annotations

from queue_core.channels.cloud.channel import CloudChannel
from queue_core.channels.cloud.parser import parse_cloud
from queue_core.channels.cloud.provider import Cloud

__all__ = ["Cloud", "CloudChannel", "parse_cloud"]
