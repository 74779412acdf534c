"""The SDK's logging functions, on the standard library's logger `rtmsd`."""

from __future__ import annotations

import json
import logging
from typing import Any, Mapping

from .constants import LogFormat, LogLevel

log = logging.getLogger("rtmsd")
_LEVELS = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARN: logging.WARNING,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.TRACE: logging.DEBUG,
}


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"level": record.levelname.lower(), "message": record.getMessage()})


def configure_logger(options: Mapping[str, Any]) -> None:
    """`level`: a `LogLevel`; `format`: a `LogFormat`; `enabled`: False logs nothing."""
    if "level" in options:
        log.setLevel(_LEVELS[LogLevel(options["level"])])
    if options.get("format") == LogFormat.JSON:
        handler = logging.StreamHandler()
        handler.setFormatter(_Json())
        log.handlers[:] = [handler]
        log.propagate = False
    if "enabled" in options:
        log.disabled = not options["enabled"]


def log_error(component: str, message: str, details: Mapping[str, Any] | None = None) -> None:
    _log(logging.ERROR, component, message, details)


def log_warn(component: str, message: str, details: Mapping[str, Any] | None = None) -> None:
    _log(logging.WARNING, component, message, details)


def log_info(component: str, message: str, details: Mapping[str, Any] | None = None) -> None:
    _log(logging.INFO, component, message, details)


def log_debug(component: str, message: str, details: Mapping[str, Any] | None = None) -> None:
    _log(logging.DEBUG, component, message, details)


def _log(level: int, component: str, message: str, details: Mapping[str, Any] | None) -> None:
    log.log(level, "%s: %s%s", component, message, f" {dict(details)}" if details else "")
