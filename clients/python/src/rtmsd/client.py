"""The client: callbacks in the SDK's names, joined to rtmsd instead of Zoom."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import threading
from concurrent.futures import Executor, Future
from typing import Any, Coroutine, Literal, Mapping

from . import background, events, loops
from . import constants as c
from .announce import WebhookCallback, on_webhook_event
from .inbox import Call, Inbox
from .link import Link, Message, Refused
from .loops import EventLoop
from .media import MEDIA, Media
from .rest import ApiError, Rest, SessionInfo

log = logging.getLogger("rtmsd")

BUFFER_BYTES = 8 * 1024 * 1024
MAX_WAITING_CALLS = 4096
MAX_PENDING = 1024
"""Calls at an executor or as coroutines at a time."""
FIND_TIMEOUT_S = 60.0
FIND_EVERY_S = 0.5
REST_TIMEOUT_S = 10.0

_EXECUTED = {*MEDIA.values(), "on_entry"}
"""The callbacks that an executor runs: those with data."""


class Client(Media):
    """A consumer of one session.

    `url` and `token` are those of rtmsd (`RTMSD_URL`, `RTMSD_TOKEN`). With an `executor` it runs the data callbacks.
    Frames that wait for callbacks may take `buffer_bytes`; beyond it the oldest are dropped and `on_dropped` counts them.
    Entries (transcript, events) are never dropped.
    """

    def __init__(
        self,
        executor: Executor | None = None,
        *,
        url: str | None = None,
        token: str | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        max_waiting: int = MAX_WAITING_CALLS,
        max_pending: int = MAX_PENDING,
    ) -> None:
        super().__init__()
        self._where = (url, token)
        self._executor = executor
        self._inbox = Inbox(buffer_bytes, max_waiting)
        self._max_pending = max_pending
        self._proxy: str | None = None
        self._loop: EventLoop | None = None
        self._lock = threading.Lock()
        self._dispatching = threading.Lock()
        self._pending = 0
        self._is_joined = False
        self._is_confirmed = False
        self._is_finished = False
        self._reading: Future[None] | None = None
        self._link: Link | None = None
        self._session: SessionInfo = {}
        self._session_id = ""
        self._stream_id = ""
        self._reason = 0
        self._from = "start"
        self._seen: dict[int, int] = {}
        self._frames: dict[tuple[str, str], int] = {}
        self._resumed: set[tuple[str, str]] = set()
        self._cursor: str | None = None

    # Life

    def join(
        self,
        meeting_uuid: str | Mapping[str, Any] | None = None,
        webinar_uuid: str | None = None,
        session_id: str | None = None,
        engagement_id: str | None = None,
        rtms_stream_id: str | None = None,
        server_urls: str | None = None,
        signature: str | None = None,
        timeout: int = -1,
        *,
        since: str = "start",
        **ignored: Any,
    ) -> bool:
        """Joins a session and returns at once; `on_join_confirm` reports how it went.

        The session is named by rtmsd's id, by Zoom's UUID or by a meeting number, in any of the first four arguments or
        in a mapping: the payload of Zoom's webhook, or the `data` of rtmsd's. Until rtmsd knows the session it is
        looked for, for `timeout` milliseconds (-1: a minute). `server_urls`, `signature` and the SDK's other arguments
        are accepted and not needed. `since` is where entries begin: `start`, `now`, or the cursor of an entry.
        """
        if self._is_joined:
            raise RuntimeError("a client joins once; make another Client for another session")
        named: dict[str, Any] = {
            "meeting_uuid": meeting_uuid,
            "webinar_uuid": webinar_uuid,
            "session_id": session_id,
            "engagement_id": engagement_id,
            "rtms_stream_id": rtms_stream_id,
        }
        if isinstance(meeting_uuid, Mapping):
            named = dict(meeting_uuid)
            named = dict(named["payload"]) if isinstance(named.get("payload"), Mapping) else named
        wanted = _wanted(named)
        if wanted is None:
            raise ValueError("join() needs a session: rtmsd's id, Zoom's UUID or a meeting number")
        url, token = self._where
        rest = Rest(url, token, REST_TIMEOUT_S, self._proxy)
        limit_s = FIND_TIMEOUT_S if timeout < 0 else timeout / 1000
        self._is_joined, self._from = True, since
        if self._loop is None:
            loops.join_default(self)
        running = self._run(rest, wanted, named.get("rtms_stream_id"), limit_s)
        self._reading = asyncio.run_coroutine_threadsafe(running, background.sockets())
        return True

    def leave(self) -> bool:
        """Leaves the session. Callbacks that wait are not made; `on_leave` is, with 0. From any thread."""
        if self._reading:
            self._reading.cancel()
        self._finish(Call("on_leave", (0,)), is_emptied=True)
        return True

    stop = leave

    def subscribe_video(self, user_id: int, subscribe: bool) -> None:
        """Chooses the participant whose camera Zoom sends; `on_video_subscribed` has the answer."""
        if not subscribe:
            log.warning("rtmsd cannot unsubscribe from a video; subscribe to another participant")
            return
        url, token = self._where
        Rest(url, token, REST_TIMEOUT_S, self._proxy).subscribe_video(self._session_id, user_id)

    subscribeVideo = subscribe_video

    def set_proxy(self, proxy_type: str, proxy_url: str) -> None:
        """The proxy on the way to rtmsd. Before `join`."""
        self._proxy = proxy_url

    setProxy = set_proxy

    def release(self) -> None:
        """The same as `leave`."""
        self.leave()

    def on_webhook_event(
        self, callback: WebhookCallback | None = None, port: int | None = None, path: str | None = None
    ) -> Any:
        """`rtmsd.on_webhook_event`, with this client's URL and token."""
        url, token = self._where
        return on_webhook_event(callback, port, path, url=url, token=token)

    def poll(self) -> None:
        """Not needed: callbacks are made by a loop."""

    def alloc(self) -> None:
        """Not needed: there is no handle of a library."""

    def is_allocated(self) -> bool:
        """Whether the client has joined, and its session is not over."""
        return self._is_joined and not self._is_finished

    @staticmethod
    def initialize(ca_path: str = "", is_verify_cert: int = 1, agent: str | None = None) -> None:
        """Nothing to do here; the SDK loads its library."""

    @staticmethod
    def uninitialize() -> None:
        """Nothing to do here."""

    def _changed(self) -> None:
        if link := self._link:
            background.sockets().call_soon_threadsafe(link.again)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        self.leave()
        return False

    # What is known

    @property
    def session(self) -> str:
        """rtmsd's id of the session; empty before it was found."""
        return self._session_id

    @property
    def cursor(self) -> str | None:
        """The position behind the last entry that callbacks were called with; `join(…, since=cursor)` goes on there."""
        return self._cursor

    @property
    def is_finished(self) -> bool:
        """Whether the session is over for this client and every callback was made."""
        return self._is_over()

    def uuid(self) -> str:
        """Zoom's UUID of the meeting."""
        return self._session.get("instance_id") or ""

    def stream_id(self) -> str:
        """Zoom's id of the newest stream."""
        return self._stream_id

    streamId = stream_id

    # On the thread of the sockets

    async def _run(self, rest: Rest, wanted: str, stream_id: str | None, limit_s: float) -> None:
        try:
            self._session_id = await self._find(rest, wanted, stream_id, limit_s)
            url = f"{rest.url}/api/v1/sdk/sessions/{self._session_id}/live"
            self._link = Link(url, rest.token, self, self._proxy or True)
            await self._link.run()
        except Refused as error:
            log.error("rtmsd refused the session: %s", error)
            self._fail(c.RTMS_SDK_NOT_EXIST if error.status == 404 else c.RTMS_SDK_FAILURE)
        except ApiError as error:
            log.error("rtmsd cannot be asked for the session: %s", error)
            self._fail(c.RTMS_SDK_NOT_EXIST if error.status == 404 else c.RTMS_SDK_FAILURE)
        except Exception:
            log.exception("the client failed; this is a bug of the package")
            self._fail(c.RTMS_SDK_FAILURE)
        else:
            self._finish(Call("on_leave", (self._reason,)))

    async def _find(self, rest: Rest, wanted: str, stream_id: str | None, limit_s: float) -> str:
        give_up_at = asyncio.get_running_loop().time() + limit_s
        for tries in itertools.count():
            problem = ApiError(404, "session_not_found", f"rtmsd knows no session {wanted}", True)
            try:
                if found := await asyncio.to_thread(rest.find, wanted, stream_id):
                    return found
            except ApiError as error:
                if not error.retryable:
                    raise
                problem = error
            if asyncio.get_running_loop().time() >= give_up_at:
                raise problem
            await asyncio.sleep(min(FIND_EVERY_S * (1 + tries / 4), 5))
        raise AssertionError("count() does not end")

    def query(self) -> Mapping[str, str]:
        return {"media": ",".join(self._media()), "from": self._from}

    def on_message(self, message: Message) -> Literal["go on", "no room", "end"]:
        match message["type"]:
            case "entry":
                return self._take(message)
            case "hello":
                self._hello(message)
            case "stream" if message.get("state") == "running":
                self._learn(message)
            case "dropped":
                self._inbox.report(message["medium"], message["count"], "rtmsd")
            case "end":
                return "end"
        self._wake()
        return "go on"

    def on_frame(self, head: Message, payload: bytes) -> None:
        call = events.frame(head, payload)
        of = (head.get("stream_id", ""), head["medium"])
        if of in self._resumed:
            # The first frame after a reconnect: the hole is what the connection cost.
            self._resumed.discard(of)
            missed = int(head["seq"]) - self._frames.get(of, 0) - 1
            if missed > 0:
                self._inbox.report(head["medium"], missed, "connection")
        self._frames[of] = int(head["seq"])
        if self._has(call.name):
            self._inbox.put_frame(call)
            self._wake()

    def has_room(self) -> bool:
        return self._inbox.has_room()

    def _hello(self, message: Message) -> None:
        self._session = message.get("session") or {}
        # Until the first entry, a reconnect goes on where this connection began.
        self._from = message.get("cursor", self._from)
        for stream in message.get("streams", []):
            self._learn(stream)
        self._resumed = set(self._frames)
        if not self._is_confirmed:
            self._is_confirmed = True
            self._inbox.put([Call("on_join_confirm", (c.RTMS_SDK_OK,))])

    def _learn(self, stream: Message) -> None:
        self._stream_id = stream["stream_id"]
        self._compare(stream.get("parameters") or {})

    def _take(self, message: Message) -> Literal["go on", "no room"]:
        entry = {name: value for name, value in message.items() if name != "type"}
        stream, seq = events.ordinal(entry), int(entry["seq"])
        if seq > self._seen.get(stream, 0):
            made = [call for call in events.calls(entry, self.uuid()) if self._is_wanted(call, entry)]
            if not self._inbox.put(made):
                return "no room"
            self._seen[stream] = seq
            if entry["kind"] == "ended":
                self._reason = entry.get("reason") or 0
        self._from = entry["cursor"]
        self._wake()
        return "go on"

    def _is_wanted(self, call: Call, entry: Message) -> bool:
        # `on_entry` is kept without a callback: it carries the cursor.
        number = events.event_type(entry)
        is_muted = number in self._muted and call.name not in ("on_entry", "on_user_update")
        return call.name == "on_entry" or (self._has(call.name) and not is_muted)

    def _fail(self, code: int) -> None:
        is_joined = self._is_confirmed
        self._finish(Call("on_leave", (0,)) if is_joined else Call("on_join_confirm", (code,)))

    def _finish(self, last: Call, is_emptied: bool = False) -> None:
        with self._lock:
            if self._is_finished or not self._is_joined:
                return
            self._is_finished = True
        self._inbox.close(last, is_emptied)
        self._wake()

    # On the thread of the loop

    def _joined(self, loop: EventLoop) -> None:
        self._loop = loop

    def _wake(self) -> None:
        if loop := self._loop:
            loop.wake()

    def _is_over(self) -> bool:
        return self._is_finished and self._pending == 0 and self._inbox.is_empty()

    def _dispatch(self) -> bool:
        # A client can move from one loop to another while its callback runs.
        if not self._dispatching.acquire(blocking=False):
            return False
        try:
            pending = self._pending
            if pending >= self._max_pending or (call := self._inbox.take(pending == 0)) is None:
                return False
            self._make(call)
            return True
        finally:
            self._dispatching.release()

    def _make(self, call: Call) -> None:
        if call.name == "on_entry":
            self._cursor = call.args[0].get("cursor")
        if call.name == "on_dropped":
            log.warning("%s frames of %s were dropped (%s)", call.args[1], call.args[0], call.args[2])
        callback, loop = self._get(call.name)
        if callback is None:
            return
        executor = self._executor or loops.default.executor
        if inspect.iscoroutinefunction(callback):
            self._spawn(callback(*call.args), loop)
        elif executor is not None and call.name in _EXECUTED:
            self._track(executor.submit(callback, *call.args))
        else:
            try:
                callback(*call.args)
            except Exception:
                log.exception("a callback raised; the next one follows")

    def _spawn(self, made: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop | None) -> None:
        """In the loop in which it was registered, else in that of `run_async`, else in one of the package."""
        candidates = [loop, self._loop.asyncio_loop if self._loop else None]
        running = next((it for it in candidates if it and it.is_running()), None)
        self._track(asyncio.run_coroutine_threadsafe(made, running or background.coroutines()))

    def _track(self, future: "Future[Any]") -> None:
        with self._lock:
            self._pending += 1
        future.add_done_callback(self._done)

    def _done(self, future: "Future[Any]") -> None:
        with self._lock:
            self._pending -= 1
        if not future.cancelled() and (error := future.exception()):
            log.error("a callback raised; the next one follows", exc_info=error)
        self._wake()


def _wanted(named: Mapping[str, Any]) -> str | None:
    """What names the session, the surest first."""
    names = ("rtmsd_session_id", "session_id", "meeting_uuid", "webinar_uuid", "engagement_id", "instance_id", "meeting_id")
    found = next((named[name] for name in names if named.get(name)), None)
    return None if found is None else str(found)
