"""Starts and ends of streams, in the shape of Zoom's webhooks: rtmsd receives those, and a program needs no server."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Literal, Mapping

from . import background
from .link import Link, Message, Refused
from .rest import ApiError, Rest

log = logging.getLogger("rtmsd")

MAX_STREAMS = 10_000
MAX_WAITING = 1024
CHECK_EVERY_S = 2.0
_EVENTS = {"meeting": "meeting", "webinar": "webinar", "video_sdk": "session", "contact_center": "engagement", "phone": "phone"}
_KEYS = {"meeting": "meeting_uuid", "webinar": "meeting_uuid", "video_sdk": "session_id", "contact_center": "engagement_id", "phone": "call_id"}

Webhook = dict[str, Any]
WebhookCallback = Callable[[Webhook], Any]


def on_webhook_event(
    callback: WebhookCallback | None = None,
    port: int | None = None,
    path: str | None = None,
    *,
    url: str | None = None,
    token: str | None = None,
) -> Any:
    """Calls back when a stream starts (`meeting.rtms_started` and the like) and when it has ended (`…rtms_stopped`).

    `join(payload)` joins it. Streams that run already are reported as started. `port` and `path` have no meaning: no
    server is started. Use it as a decorator, with or without arguments, or call it.
    """
    if callback is None:
        return lambda decorated: on_webhook_event(decorated, port, path, url=url, token=token)
    rest = Rest(url, token)
    asyncio.run_coroutine_threadsafe(_Announcer(rest, callback).run(), background.sockets())
    return callback


onWebhookEvent = on_webhook_event


class _Announcer:
    """Follows the streams of all sessions, and reports each start and each end once."""

    def __init__(self, rest: Rest, callback: WebhookCallback) -> None:
        self._rest = rest
        self._callback = callback
        self._running: dict[str, Message] = {}
        self._doubtful: set[str] = set()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._waiting: asyncio.Queue[Webhook] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "rtmsd-webhooks")

    async def run(self) -> None:
        link = Link(f"{self._rest.url}/api/v1/live", self._rest.token, self)
        helpers = [asyncio.ensure_future(self._call_back()), asyncio.ensure_future(self._check())]
        try:
            await link.run()
        except Refused as error:
            log.error("rtmsd refused to announce streams: %s", error)
        finally:
            for helper in helpers:
                helper.cancel()

    def query(self) -> Mapping[str, str]:
        return {"media": "transcript", "kinds": "ended", "from": "now"}

    def on_message(self, message: Message) -> Literal["go on", "no room", "end"]:
        if self._waiting.qsize() >= MAX_WAITING:
            return "no room"
        match message["type"]:
            case "hello":
                running = {stream["stream_id"]: stream for stream in message["streams"]}
                self._doubtful |= self._running.keys() - running.keys()
                for stream in running.values():
                    self._start(stream)
            case "stream" if message["state"] == "running":
                self._start(message)
            case "stream":
                self._doubtful.add(message["stream_id"])
            case "entry":
                self._end(message["stream_id"], message.get("reason"))
        return "go on"

    def on_frame(self, head: Message, payload: bytes) -> None:
        pass

    def has_room(self) -> bool:
        return self._waiting.qsize() <= MAX_WAITING // 2

    def _start(self, stream: Message) -> None:
        stream_id = stream["stream_id"]
        self._doubtful.discard(stream_id)
        if stream_id in self._ended:
            return
        if stream_id not in self._running:
            self._tell("started", stream, None)
        self._running[stream_id] = stream

    def _end(self, stream_id: str, reason: int | None) -> None:
        self._doubtful.discard(stream_id)
        if stream := self._running.pop(stream_id, None):
            self._tell("stopped", stream, reason)
        self._ended[stream_id] = None
        while len(self._ended) > MAX_STREAMS:
            self._ended.popitem(last=False)

    def _tell(self, what: str, stream: Message, reason: int | None) -> None:
        product = stream.get("product", "meeting")
        payload = {
            _KEYS.get(product, "meeting_uuid"): stream.get("instance_id"),
            "rtms_stream_id": stream["stream_id"],
            "server_urls": "",
            "rtmsd_session_id": stream["session_id"],
        }
        if reason is not None:
            payload["stop_reason"] = reason
        event = f"{_EVENTS.get(product, 'meeting')}.rtms_{what}"
        self._waiting.put_nowait({"event": event, "event_ts": int(time.time() * 1000), "payload": payload})

    async def _check(self) -> None:
        """A stream that this daemon does not run any longer has ended or runs elsewhere: the store knows."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            for stream_id in list(self._doubtful):
                stream = self._running.get(stream_id)
                if stream is None:
                    self._doubtful.discard(stream_id)
                    continue
                try:
                    detail = await asyncio.to_thread(self._rest.session, stream["session_id"])
                except ApiError as error:
                    if error.status == 404:
                        self._end(stream_id, None)
                    continue
                known = next((it for it in detail["streams"] if it["stream_id"] == stream_id), None)
                if known is None or known["status"] == "ended":
                    reason = (known or {}).get("stop_reason") or {}
                    self._end(stream_id, reason.get("code"))

    async def _call_back(self) -> None:
        """One event after the other, in a thread of its own."""
        while True:
            event = await self._waiting.get()
            try:
                if inspect.iscoroutinefunction(self._callback):
                    made = asyncio.run_coroutine_threadsafe(self._callback(event), background.coroutines())
                    await asyncio.wrap_future(made)
                else:
                    loop = asyncio.get_running_loop()
                    await loop.run_in_executor(self._thread, self._callback, event)
            except Exception:
                log.exception("the webhook callback raised; the next event follows")
