"""A daemon for the tests: it plays entries and frames over the live WebSocket, as often and as badly as a test says."""

from __future__ import annotations

import asyncio
import http
import json
import struct
import threading
from typing import Any, Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

SESSION = "01a222ec-e248-7535-8293-d42170cd2785"
ANA = {"user_id": 16778240, "user_name": "Ana"}
Play = Callable[["Fake", ServerConnection, dict[str, str]], Awaitable[None]]


class Fake:
    """Serves one session; `play` is called for each connection with its query."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.connections: list[dict[str, str]] = []
        self.refusals: list[int] = []
        self.sessions = [{"id": SESSION, "instance_id": "uuid/of==", "meeting_id": "91234567890"}]
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with serve(self._handle, "127.0.0.1", 0, process_request=self._answer) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    async def _handle(self, socket: ServerConnection) -> None:
        assert socket.request
        query = {k: v[0] for k, v in parse_qs(urlsplit(socket.request.path).query).items()}
        self.connections.append(query)
        await self.play(self, socket, query)

    def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        path = urlsplit(request.path).path
        if request.headers.get("Authorization") != "Bearer token":
            return json_answer(401, {"error": {"code": "unauthorized", "detail": "unknown token", "retryable": False}})
        if path.endswith("/live"):
            return json_answer(self.refusals.pop(0), {}) if self.refusals else None
        if path == "/api/v1/sdk/sessions":
            return json_answer(200, {"data": {"sessions": self.sessions}})
        for session in self.sessions:
            if path == f"/api/v1/sdk/sessions/{session['id']}":
                streams = [{"stream_id": "stream-1", "status": "ended", "stop_reason": {"code": 6}}]
                return json_answer(200, {"data": {"session": session, "streams": streams}})
        return json_answer(404, {"error": {"code": "session_not_found", "detail": "no", "retryable": False}})


def json_answer(status: int, body: Any) -> Response:
    data = json.dumps(body).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(data))})
    return Response(status, http.HTTPStatus(status).phrase, headers, data)


def hello(**more: Any) -> str:
    stream = {
        "session_id": SESSION,
        "stream_id": "stream-1",
        "product": "meeting",
        "instance_id": "uuid/of==",
        "parameters": {"audio": {"codec": "l16", "sample_rate": 16000, "channels": "mono", "streams": "mixed"}},
    }
    session = {"id": SESSION, "instance_id": "uuid/of=="}
    return json.dumps({"type": "hello", "version": 1, "session": session, "streams": [stream]} | more)


def entry(seq: int, kind: str = "transcript", name: str = "ordinal", **more: Any) -> str:
    """`name` is that of the stream's number: `ordinal`, or `stream` as older daemons say."""
    if kind == "transcript":
        more = {**ANA, "text": f"line {seq}", "start_ms": seq, "end_ms": seq + 1, "language": 9} | more
    head = {"type": "entry", "cursor": f"1:{seq}", "stream_id": "stream-1", name: 1, "seq": seq, "at_ms": 1000 + seq}
    return json.dumps(head | {"kind": kind} | more)


def frame(seq: int, payload: bytes, medium: str = "audio") -> bytes:
    head = {"type": "frame", "stream_id": "stream-1", "ordinal": 1, "medium": medium, "seq": seq, "at_ms": seq} | ANA
    data = json.dumps(head).encode()
    return struct.pack(">H", len(data)) + data + payload


def end() -> str:
    return json.dumps({"type": "end", "session_id": SESSION, "cursor": "1:9"})


def behind(query: dict[str, str]) -> int:
    """The number behind which a connection goes on."""
    return 0 if query["from"] == "start" else int(query["from"].split(":")[1])
