"""The subscribers' endpoint, a process of its own: moody, and with a record that only grows.

    python -m deploy.local.faults.receiver PORT FILE SEED

Each request under `/hooks/<name>` is written down before it is answered: mostly 204, sometimes 500, 429 or nothing at
all for longer than a delivery waits. It dies as the nemesis likes, and goes on behind what it has written.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
import time
from pathlib import Path

import orjson
from aiohttp import web

#: longer than a delivery may take
_HANGS = 6.0
_MOODS = (204, 500, 429, 0)
_SHARES = (90, 5, 3, 2)


class Endpoint:
    """Takes webhooks."""

    def __init__(self, file: Path, seed: int) -> None:
        self._record = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._chance = random.Random(seed)  # noqa: S311 -- moods, not secrets

    async def take(self, request: web.Request) -> web.Response:
        """Write down, then answer as it pleases."""
        body = await request.read()
        [mood] = self._chance.choices(_MOODS, _SHARES)
        self._write(request, body, mood)
        if mood == 0:
            await asyncio.sleep(_HANGS)
            return web.Response(status=500)
        return web.Response(status=mood, headers={"Retry-After": "1"} if mood == 429 else {})  # noqa: PLR2004

    def _write(self, request: web.Request, body: bytes, mood: int) -> None:
        line = {
            "at": time.time(),
            "hook": request.match_info["hook"],
            "id": request.headers.get("webhook-id"),
            "answer": mood,
            "digest": hashlib.sha256(body).hexdigest()[:16],
            "events": [
                [each["id"], each["type"], each["object"].get("account_id"), each["webhook_id"]]
                for each in orjson.loads(body)["payload"]
            ],
        }
        os.write(self._record, orjson.dumps(line) + b"\n")


def main(port: int, file: Path, seed: int) -> None:
    """Serve until killed."""
    app = web.Application()
    app.add_routes([web.post("/hooks/{hook}", Endpoint(file, seed).take)])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
