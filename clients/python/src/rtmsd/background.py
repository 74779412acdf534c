"""The package's two asyncio loops, each in a thread of its own: sockets, and coroutine callbacks without a loop."""

from __future__ import annotations

import asyncio
import logging
import threading

log = logging.getLogger("rtmsd")

_lock = threading.Lock()
_loops: dict[str, asyncio.AbstractEventLoop] = {}


def sockets() -> asyncio.AbstractEventLoop:
    """Reads the sockets of all clients. Nothing of the program runs here, so nothing of it can stall a socket."""
    return _loop("rtmsd-sockets")


def coroutines() -> asyncio.AbstractEventLoop:
    """Runs coroutine callbacks of programs that have no loop."""
    return _loop("rtmsd-coroutines")


def _loop(name: str) -> asyncio.AbstractEventLoop:
    with _lock:
        if name not in _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name=name, daemon=True).start()
            _loops[name] = loop
        return _loops[name]
