"""What waits for a client's callbacks: bounded, in order, and honest about what does not fit."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """A callback to be made."""

    name: str
    args: tuple[Any, ...]
    medium: str | None = None
    """Of a frame, which may be dropped."""
    size: int = 0


class Inbox:
    """Calls in the order of their arrival.

    Frames may take `max_bytes`: the oldest are dropped beyond it, and counted. Everything else is stored by rtmsd and is
    never dropped: `put` refuses it while `max_calls` wait, and the reader fetches it again later.
    """

    def __init__(self, max_bytes: int, max_calls: int) -> None:
        self._max_bytes = max_bytes
        self._max_calls = max_calls
        self._lock = threading.Lock()
        self._frames: deque[tuple[int, Call]] = deque()
        self._calls: deque[tuple[int, Call]] = deque()
        self._bytes = 0
        self._serial = 0
        self._dropped: dict[tuple[str, str], int] = {}
        self._last: Call | None = None
        self._is_closed = False

    def put(self, calls: list[Call]) -> bool:
        """Appends the calls of one entry, or nothing and returns False if there is no room."""
        with self._lock:
            if self._is_closed:
                return True
            if self._calls and len(self._calls) + len(calls) > self._max_calls:
                return False
            for call in calls:
                self._serial += 1
                self._calls.append((self._serial, call))
            return True

    def put_frame(self, call: Call) -> None:
        """Appends a frame; drops the oldest ones if they take too much room."""
        with self._lock:
            if self._is_closed:
                return
            self._serial += 1
            self._frames.append((self._serial, call))
            self._bytes += call.size
            while self._bytes > self._max_bytes and len(self._frames) > 1:
                _, oldest = self._frames.popleft()
                self._bytes -= oldest.size
                self._count(oldest.medium or "", 1, "client")

    def report(self, medium: str, count: int, where: str) -> None:
        """Frames were dropped elsewhere: a call of `on_dropped` says so."""
        with self._lock:
            self._count(medium, count, where)

    def close(self, last: Call, is_emptied: bool) -> None:
        """Takes nothing any longer. A last call follows what waits, or with `is_emptied` stands instead of it."""
        with self._lock:
            self._last, self._is_closed = last, True
            if is_emptied:
                self._frames.clear()
                self._calls.clear()
                self._dropped.clear()
                self._bytes = 0

    def take(self, is_idle: bool) -> Call | None:
        """The next call. What was dropped is reported before the frames behind it.

        The last call is given out only if `is_idle`: no earlier call runs any longer.
        """
        with self._lock:
            if self._dropped:
                (medium, where), count = self._dropped.popitem()
                return Call("on_dropped", (medium, count, where))
            if self._frames and (not self._calls or self._frames[0][0] < self._calls[0][0]):
                _, call = self._frames.popleft()
                self._bytes -= call.size
                return call
            if self._calls:
                return self._calls.popleft()[1]
            last = self._last if is_idle else None
            if last:
                self._last = None
            return last

    def has_room(self) -> bool:
        """Whether so much has been taken that it is worth fetching more."""
        with self._lock:
            return len(self._calls) <= self._max_calls // 2

    def is_empty(self) -> bool:
        with self._lock:
            return not (self._frames or self._calls or self._dropped or self._last)

    def _count(self, medium: str, count: int, where: str) -> None:
        if self._is_closed:
            return
        self._dropped[medium, where] = self._dropped.get((medium, where), 0) + count
