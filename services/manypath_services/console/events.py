"""Server-sent events: how pages hear of what changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.responses import StreamingResponse

_HEARTBEAT_SECONDS = 10.0


def event_stream(events: AsyncGenerator[tuple[str, object], None], closing: asyncio.Event) -> StreamingResponse:
    """Return events as a stream; it ends with them, with the reader, or when the console ends."""
    return StreamingResponse(
        _lines(events, closing), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def _lines(events: AsyncGenerator[tuple[str, object], None], closing: asyncio.Event) -> AsyncIterator[str]:
    ending = asyncio.ensure_future(closing.wait())
    coming: asyncio.Task[tuple[str, object]] | None = None
    try:
        while not closing.is_set():
            if coming is None:
                coming = asyncio.ensure_future(anext(events))
            await asyncio.wait((coming, ending), timeout=_HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                yield ": still here\n\n"  # proxies close what is silent for long
                continue
            try:
                kind, content = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield f"event: {kind}\ndata: {json.dumps(content)}\n\n"
    finally:
        ending.cancel()
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await events.aclose()
