"""A plugin with an async def handler, to be hosted beside def ones."""

from __future__ import annotations

import asyncio

import outrigger


class Mixed(outrigger.Plugin):
    name = "mixed"
    version = "1"

    async def access(self, kong: outrigger.AsyncPDK) -> None:
        await asyncio.sleep(0)
        if kong.request.get_header("x-do") == "ask":
            kong.response.set_header("X-Async", len(await kong.request.get_raw_body()))
        else:
            kong.response.set_header("X-Async", "1")
