"""A connection with rtmsd's live WebSocket that is rebuilt behind the last entry until the session is over."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from typing import Any, Literal, Mapping, Protocol
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

log = logging.getLogger("rtmsd")

VERSION = 1
"""Of rtmsd's messages."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 8.0
RETRY_AFTER_LIMIT_S = 60.0
STABLE_S = 5.0
"""A connection that lasted for this long starts the back-off anew."""
ROOM_POLL_S = 0.05
WARN_EVERY_S = 10.0
POLICY_VIOLATION = 1008

Message = dict[str, Any]


class Refused(Exception):
    """rtmsd refused the connection, and would again."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Consumer(Protocol):
    """What a link delivers to. Nothing here may block."""

    def query(self) -> Mapping[str, str]:
        """The query of the next connection."""

    def on_message(self, message: Message) -> Literal["go on", "no room", "end"]:
        """A text message. `no room`: it was not taken, and the link fetches it again when there is room."""

    def on_frame(self, head: Message, payload: bytes) -> None:
        """A frame."""

    def has_room(self) -> bool:
        """Whether entries can be fetched again."""


class _Connect(connect):
    """Does not follow redirects: the token goes to the configured host only."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Link:
    """Connects, reads, and connects again with full jitter up to 8 s."""

    def __init__(
        self,
        url: str,
        token: str,
        consumer: Consumer,
        proxy: str | Literal[True] | None = True,
    ) -> None:
        self._url = "ws" + url.removeprefix("http")
        self._token = token
        self._consumer = consumer
        self._proxy = proxy
        self._socket: ClientConnection | None = None
        self._is_again = False
        self._warned_at = -WARN_EVERY_S

    async def run(self) -> None:
        """Until the session has ended. Raises `Refused`."""
        failures = 0
        while True:
            began = time.monotonic()
            wait = 0.0
            try:
                outcome = await self._converse()
                if outcome == "end":
                    return
                if outcome == "no room":
                    await self._await_room()
                    continue
                if outcome == "again":
                    continue
                problem = "the connection was closed"
            except InvalidStatus as error:
                wait = _retry_after(error)
                problem = f"answered {error.response.status_code}"
            except (OSError, InvalidHandshake, ConnectionClosed, asyncio.TimeoutError) as error:
                problem = str(error) or type(error).__name__
            failures = 1 if time.monotonic() - began >= STABLE_S else failures + 1
            wait = max(wait, random.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**failures)))
            self._warn(f"lost rtmsd ({problem}); connecting again behind the last entry")
            await asyncio.sleep(wait)

    def again(self) -> None:
        """Connects again with another query. From the sockets' thread."""
        self._is_again = True
        if socket := self._socket:
            asyncio.ensure_future(socket.close())

    async def _converse(self) -> str:
        self._is_again = False
        query = urlencode({"format": "binary", **self._consumer.query()})
        async with _Connect(
            f"{self._url}?{query}",
            additional_headers={"Authorization": f"Bearer {self._token}"},
            user_agent_header="rtmsd-python",
            max_size=MAX_MESSAGE_BYTES,
            compression=None,
            close_timeout=2,
            proxy=self._proxy,
        ) as socket:
            self._socket = socket
            try:
                return await self._read(socket)
            finally:
                self._socket = None

    async def _read(self, socket: ClientConnection) -> str:
        error: Message = {}
        try:
            async for data in socket:
                if self._is_again:
                    return "again"
                if isinstance(data, bytes):
                    length = int.from_bytes(data[:2], "big") + 2
                    self._consumer.on_frame(json.loads(data[2:length]), data[length:])
                    continue
                message = json.loads(data)
                if message["type"] == "error":
                    error = message
                if message["type"] == "hello" and message.get("version") != VERSION:
                    raise Refused(0, "this rtmsd speaks another version; update the package")
                outcome = self._consumer.on_message(message)
                if outcome != "go on":
                    return outcome
        except ConnectionClosed as closed:
            if closed.rcvd and closed.rcvd.code == POLICY_VIOLATION:
                detail = error.get("detail") or closed.rcvd.reason
                raise Refused(400, detail) from closed
            if not self._is_again:
                raise
        return "again" if self._is_again else "closed"

    async def _await_room(self) -> None:
        self._warn("the callbacks are slower than the entries; reading goes on when half of them are done")
        while not self._consumer.has_room():
            await asyncio.sleep(ROOM_POLL_S)

    def _warn(self, text: str) -> None:
        """Not more often than every 10 s."""
        if time.monotonic() - self._warned_at >= WARN_EVERY_S:
            self._warned_at = time.monotonic()
            log.warning(text)


def _retry_after(error: InvalidStatus) -> float:
    """The wait that the answer asks for. Raises `Refused` if a repeat is pointless."""
    status = error.response.status_code
    if status < 500 and status not in (408, 429):
        raise Refused(status, _detail(error)) from error
    text = error.response.headers.get("Retry-After", "")
    return min(float(text), RETRY_AFTER_LIMIT_S) if text.isdigit() else 0.0


def _detail(error: InvalidStatus) -> str:
    try:
        return str(json.loads(error.response.body or b"")["error"]["detail"])
    except (ValueError, KeyError, TypeError):
        return f"rtmsd answered {error.response.status_code}"
