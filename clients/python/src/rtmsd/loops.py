"""The threads and coroutines in which callbacks run."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from types import FrameType
from typing import Literal, Protocol

WAIT_S = 0.5
"""How long a loop sleeps at most: a signal such as Ctrl-C is handled in between."""
BATCH = 64
"""Calls of one client before the next client's turn."""


class Member(Protocol):
    """What a loop needs of a client."""

    def _dispatch(self) -> bool:
        """Makes the next callback; False if there is nothing to do now."""

    def _is_over(self) -> bool:
        """Whether no callback will follow."""

    def _joined(self, loop: "EventLoop") -> None:
        """The loop makes this client's callbacks from now on."""

    def leave(self) -> bool:
        """Ends the client."""


class EventLoop:
    """Makes the callbacks of its clients, on one thread or in one coroutine.

    `poll_interval` has no meaning here: a loop is woken when something has come.
    """

    def __init__(self, poll_interval: float = 0.01, name: str | None = None) -> None:
        self._name = name or "rtmsd-loop"
        self._lock = threading.Lock()
        self._members: list[Member] = []
        self._bell = threading.Event()
        self._async_bell: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._is_stopped = False
        self._thread: threading.Thread | None = None

    @property
    def client_count(self) -> int:
        """The clients that have not ended."""
        return len(self._members)

    @property
    def asyncio_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop of `run_async`, while it runs."""
        bell = self._async_bell
        return bell[0] if bell else None

    def add(self, client: Member) -> None:
        """Makes the client's callbacks here. Call it before `client.join()`."""
        with self._lock:
            if client not in self._members:
                self._members.append(client)
        client._joined(self)
        self.wake()

    def wake(self) -> None:
        """Something has come. From any thread."""
        self._bell.set()
        if bell := self._async_bell:
            try:
                bell[0].call_soon_threadsafe(bell[1].set)
            except RuntimeError:
                pass  # That loop has just been closed.

    def run(self, stop_on_empty: bool = False) -> None:
        """Blocks until `stop()`, Ctrl-C or, with `stop_on_empty`, the end of the last client.

        Ctrl-C lets the callback that runs end; a second one interrupts it.
        """
        try:
            with self._ended_by_interrupt():
                while not self._is_done(stop_on_empty):
                    self._bell.clear()
                    if not self._step():
                        self._bell.wait(WAIT_S)
        except KeyboardInterrupt:
            pass
        finally:
            self._end()

    @contextlib.contextmanager
    def _ended_by_interrupt(self) -> Iterator[None]:
        """Ctrl-C ends the loop, unless the program handles it or the loop runs in another thread than the main one.

        The exception that Python raises for it could leave a lock taken for ever.
        """
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return

        def end(number: int, frame: FrameType | None) -> None:
            # Without `wake`, which takes a lock that this thread may hold.
            self._is_stopped = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    async def run_async(self, stop_on_empty: bool = False) -> None:
        """The same as a coroutine: other coroutines run meanwhile."""
        bell = asyncio.Event()
        self._async_bell = (asyncio.get_running_loop(), bell)
        try:
            while not self._is_done(stop_on_empty):
                bell.clear()
                if self._step():
                    await asyncio.sleep(0)
                    continue
                try:
                    await asyncio.wait_for(bell.wait(), WAIT_S)
                except asyncio.TimeoutError:
                    pass
        finally:
            self._async_bell = None
            self._end()

    def start(self, stop_on_empty: bool = False) -> "EventLoop":
        """Runs in a daemon thread."""
        self._thread = threading.Thread(target=self.run, args=(stop_on_empty,), name=self._name, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the loop after the callback that runs; its clients leave."""
        self._is_stopped = True
        self.wake()

    def join(self, timeout: float | None = None) -> None:
        """Waits for the thread of `start()`."""
        if self._thread:
            self._thread.join(timeout)

    def _hand_over(self, other: "EventLoop") -> None:
        with self._lock:
            members, self._members = self._members, []
        for member in members:
            other.add(member)
        self.wake()

    def _is_done(self, stop_on_empty: bool) -> bool:
        return self._is_stopped or (stop_on_empty and not self._members)

    def _step(self) -> bool:
        """Some callbacks of each client. False if there were none."""
        with self._lock:
            members = list(self._members)
        is_busy = False
        for member in members:
            for _ in range(BATCH):
                if self._is_stopped or not member._dispatch():
                    break
                is_busy = True
            if member._is_over():
                with self._lock:
                    if member in self._members:
                        self._members.remove(member)
                is_busy = True
        return is_busy

    def _end(self) -> None:
        with self._lock:
            members, self._members = self._members, []
        for member in members:
            member.leave()
            while member._dispatch():
                pass


class EventLoopPool:
    """Distributes clients over several loops."""

    def __init__(
        self,
        threads: int = 4,
        poll_interval: float = 0.01,
        strategy: Literal["least_loaded", "round_robin"] = "least_loaded",
    ) -> None:
        if threads < 1:
            raise ValueError("threads must be at least 1")
        if strategy not in ("least_loaded", "round_robin"):
            raise ValueError("strategy must be 'least_loaded' or 'round_robin'")
        self._loops = [EventLoop(poll_interval, f"rtmsd-pool-{index}") for index in range(threads)]
        self._strategy = strategy
        self._added = 0

    @property
    def loops(self) -> list[EventLoop]:
        return self._loops

    @property
    def client_count(self) -> int:
        return sum(loop.client_count for loop in self._loops)

    def add(self, client: Member) -> EventLoop:
        """Gives the client to a loop and returns it."""
        if self._strategy == "least_loaded":
            loop = min(self._loops, key=lambda loop: loop.client_count)
        else:
            loop = self._loops[self._added % len(self._loops)]
        self._added += 1
        loop.add(client)
        return loop

    def run(self, stop_on_empty: bool = False) -> None:
        """Runs all loops, the last one on this thread."""
        for loop in self._loops[:-1]:
            loop.start(stop_on_empty)
        self._loops[-1].run(stop_on_empty)
        for loop in self._loops[:-1]:
            if not stop_on_empty:
                loop.stop()
            loop.join()

    async def run_async(self, stop_on_empty: bool = False) -> None:
        """Runs all loops as coroutines."""
        await asyncio.gather(*(loop.run_async(stop_on_empty) for loop in self._loops))

    def stop(self) -> None:
        for loop in self._loops:
            loop.stop()


class _Default:
    """The loop and the executor of `run` and `run_async`."""

    def __init__(self) -> None:
        self.loop: EventLoop | None = None
        self.executor: Executor | None = None
        self.own: list[EventLoop] = []
        """The loops of clients that joined while nothing ran."""


default = _Default()


def run(poll_interval: float = 0.01, stop_on_empty: bool = False, executor: Executor | None = None) -> None:
    """Makes the callbacks of all clients that are in no other loop, on this thread.

    Until `stop()`, Ctrl-C or, with `stop_on_empty`, the end of the last of them.
    """
    loop = _open(executor)
    try:
        loop.run(stop_on_empty)
    finally:
        _close()


async def run_async(
    poll_interval: float = 0.01, stop_on_empty: bool = False, executor: Executor | None = None
) -> None:
    """`run` as a coroutine."""
    loop = _open(executor)
    try:
        await loop.run_async(stop_on_empty)
    finally:
        _close()


def stop() -> None:
    """Ends `run` or `run_async`. From any thread."""
    if default.loop:
        default.loop.stop()


def _open(executor: Executor | None) -> EventLoop:
    if default.loop is not None:
        raise RuntimeError("rtmsd.run() runs already; use an EventLoop of your own for a second one")
    default.executor = executor
    default.loop = EventLoop(name="rtmsd-default")
    for loop in default.own:
        loop._hand_over(default.loop)
    default.own.clear()
    return default.loop


def join_default(client: Member) -> None:
    """Gives a client without a loop to `run`, or to a thread of its own while `run` does not run."""
    if default.loop is not None:
        default.loop.add(client)
        return
    loop = EventLoop(name="rtmsd-client")
    loop.add(client)
    default.own = [other for other in default.own if other.client_count] + [loop]
    loop.start(stop_on_empty=True)


def _close() -> None:
    default.loop = default.executor = None
