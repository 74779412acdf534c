"""rtmsd's REST API, on the standard library."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, Iterator, Literal, TypedDict, cast

MAX_ANSWER_BYTES = 64 * 1024 * 1024
Format = Literal["json", "jsonl", "vtt", "srt", "txt"]


class SessionInfo(TypedDict, total=False):
    """A session; the API's document lists every field."""

    id: str
    product: str
    instance_id: str | None
    meeting_id: str | None
    status: str
    metadata: dict[str, Any] | None
    created_at_ms: int
    ended_at_ms: int | None


class StreamInfo(TypedDict, total=False):
    """A stream of a session."""

    stream_id: str
    ordinal: int
    status: str
    outcome: str | None
    stop_reason: dict[str, Any] | None
    effective: dict[str, Any] | None


class SessionDetail(TypedDict):
    """A session with its streams, oldest first."""

    session: SessionInfo
    streams: list[StreamInfo]


class ApiError(Exception):
    """rtmsd refused a request, or could not be reached (`status` is 0 then)."""

    def __init__(self, status: int, code: str, detail: str, retryable: bool) -> None:
        super().__init__(f"{code}: {detail}" if status == 0 else f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retryable = retryable


class Rest:
    """A client of the REST API. Each call blocks; calls from several threads are fine.

    `url` is `RTMSD_URL` or http://localhost:3000 by default, `token` is `RTMSD_TOKEN`.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, timeout: float = 30.0, proxy: str | None = None
    ) -> None:
        self.url = (url or os.environ.get("RTMSD_URL") or "http://localhost:3000").rstrip("/")
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"the URL of rtmsd begins with http:// or https://, not as in {self.url!r}")
        self.token = token or os.environ.get("RTMSD_TOKEN") or ""
        if not self.token:
            raise ValueError("rtmsd needs an API token: pass token=, or set RTMSD_TOKEN")
        self.timeout = timeout
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if proxy is not None:
            handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        self._opener = urllib.request.build_opener(*handlers)

    def sessions(self, limit: int = 50, before: str | None = None, status: str | None = None) -> list[SessionInfo]:
        """Sessions, newest first. `before` is a session's id and continues behind it."""
        query = {"limit": str(limit), "before": before, "status": status}
        return cast(list[SessionInfo], self._data("GET", "/sessions", query=query)["sessions"])

    def session(self, session_id: str) -> SessionDetail:
        """One session with its streams."""
        return cast(SessionDetail, self._data("GET", _path(session_id)))

    def create(self, meeting_id: str, metadata: dict[str, Any] | None = None) -> SessionInfo:
        """Creates a session for a meeting number, before Zoom announces it."""
        body = {"platform": "zoom", "meeting_id": meeting_id}
        more = {} if metadata is None else {"metadata": metadata}
        return cast(SessionInfo, self._data("POST", "/sessions", body=body | more)["session"])

    def start(self, session_id: str) -> dict[str, Any]:
        """Asks Zoom to start the session's stream."""
        return self._control(session_id, "start")

    def stop(self, session_id: str) -> dict[str, Any]:
        """Asks Zoom to stop it."""
        return self._control(session_id, "stop")

    def pause(self, session_id: str) -> dict[str, Any]:
        """Asks Zoom to pause it."""
        return self._control(session_id, "pause")

    def resume(self, session_id: str) -> dict[str, Any]:
        """Asks Zoom to resume it."""
        return self._control(session_id, "resume")

    def transcript(self, session_id: str, format: Format = "txt") -> str:
        """The transcript so far, as text in this format."""
        path = f"{_path(session_id)}/transcript"
        return self._send("GET", path, query={"format": format}).decode()

    def subscribe_video(self, session_id: str, user_id: int) -> None:
        """Chooses the participant whose camera is streamed."""
        self._data("POST", f"{_path(session_id)}/video/subscribe", body={"user_id": user_id})

    def find(self, wanted: str, stream_id: str | None = None) -> str | None:
        """The id of the newest session with this id: rtmsd's, Zoom's UUID, or a meeting number.

        With `stream_id` only a session that has this stream of Zoom's.
        """
        if _is_uuid(wanted) and (found := self._known(wanted)):
            return found
        same = wanted.replace(" ", "").replace("-", "") if wanted.replace(" ", "").isdigit() else wanted
        for session in self._recent():
            if same in (session.get("instance_id"), session.get("meeting_id")):
                if stream_id is None or self._has(session["id"], stream_id):
                    return session["id"]
        return None

    def _known(self, session_id: str) -> str | None:
        try:
            return self.session(session_id)["session"]["id"]
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def _recent(self) -> Iterator[SessionInfo]:
        """The newest thousand sessions."""
        before = None
        for _ in range(5):
            page = self.sessions(limit=200, before=before)
            yield from page
            if len(page) < 200:
                return
            before = page[-1]["id"]

    def _has(self, session_id: str, stream_id: str) -> bool:
        return any(stream["stream_id"] == stream_id for stream in self.session(session_id)["streams"])

    def _control(self, session_id: str, verb: str) -> dict[str, Any]:
        # A repeat of the same request, by whatever is in between, is answered and not executed.
        return self._data("POST", f"{_path(session_id)}/rtms/{verb}", headers={"Idempotency-Key": str(uuid.uuid4())})

    def _data(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            answer = json.loads(self._send(method, path, **more))
        except ValueError as error:
            raise ApiError(0, "bad_answer", f"{self.url} did not answer with JSON", True) from error
        return cast(dict[str, Any], answer["data"])

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str | None] | None = None,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        pairs = {name: value for name, value in (query or {}).items() if value is not None}
        url = f"{self.url}/api/v1/sdk{path}" + (f"?{urllib.parse.urlencode(pairs)}" if pairs else "")
        data = json.dumps(body).encode() if body is not None else (b"" if method == "POST" else None)
        request = urllib.request.Request(url, data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            request.add_header(name, value)
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                content = cast(bytes, answer.read(MAX_ANSWER_BYTES + 1))
        except urllib.error.HTTPError as error:
            raise _refused(error) from error
        except OSError as error:
            raise ApiError(0, "unreachable", f"{self.url}: {error}", True) from error
        if len(content) > MAX_ANSWER_BYTES:
            raise ApiError(0, "too_large", f"the answer exceeds {MAX_ANSWER_BYTES} bytes", False)
        return content


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes to the configured host only."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _path(session_id: str) -> str:
    return f"/sessions/{urllib.parse.quote(session_id, safe='')}"


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _refused(error: urllib.error.HTTPError) -> ApiError:
    try:
        told = json.loads(error.read(64 * 1024))["error"]
        return ApiError(error.code, told["code"], told["detail"], bool(told.get("retryable")))
    except (ValueError, KeyError, TypeError, OSError):
        return ApiError(error.code, "http", error.reason or "refused", error.code >= 500 or error.code == 429)
