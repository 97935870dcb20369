"""The least that a webhook can cost: a bare aiohttp handler that decodes the body and makes one RPUSH.

python bare_web.py REDIS_URL PORT
"""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import web
from redis.asyncio import Redis

from queue_core.server.cli import loop_factory


def main(url: str, port: str) -> None:
    """Serve until stopped."""
    redis = Redis.from_url(url, max_connections=100)

    async def webhook(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        await redis.rpush("bench:" + body["data"]["key"]["remoteJid"], json.dumps(body))
        return web.json_response({"queued": 1})

    app = web.Application()
    app.router.add_post("/webhook/evolution", webhook)
    new_loop = loop_factory() or asyncio.new_event_loop
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None, loop=new_loop())


if __name__ == "__main__":
    main(*sys.argv[1:])
