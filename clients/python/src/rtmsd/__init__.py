"""The Python client of rtmsd: live sessions with the callbacks of Zoom's RTMS SDK, and the REST API.

    import rtmsd as rtms

    client = rtms.Client()  # RTMSD_URL, RTMSD_TOKEN

    @client.on_transcript_data
    def line(data, size, timestamp, metadata):
        print(metadata.userName, data.decode())

    client.join("01a222ec-e248-7535-8293-d42170cd2785")
    rtms.run(stop_on_empty=True)
"""

from . import constants as _constants
from .announce import on_webhook_event, onWebhookEvent
from .client import Client
from .constants import *  # noqa: F403
from .logs import configure_logger, log_debug, log_error, log_info, log_warn
from .loops import EventLoop, EventLoopPool, run, run_async, stop
from .rest import ApiError, Rest, SessionDetail, SessionInfo, StreamInfo
from .types import (
    AiInterpreter,
    AiTargetLanguage,
    AudioParams,
    DeskshareParams,
    Gap,
    Metadata,
    Participant,
    Session,
    TranscriptParams,
    VideoParams,
)

__version__ = "0.1.0"


def initialize(ca_path: str | None = None) -> bool:
    """Nothing to do here; the SDK loads its library."""
    return True


def uninitialize() -> bool:
    """Nothing to do here."""
    return True


__all__ = [
    "AiInterpreter",
    "AiTargetLanguage",
    "ApiError",
    "AudioParams",
    "Client",
    "DeskshareParams",
    "EventLoop",
    "EventLoopPool",
    "Gap",
    "Metadata",
    "Participant",
    "Rest",
    "Session",
    "SessionDetail",
    "SessionInfo",
    "StreamInfo",
    "TranscriptParams",
    "VideoParams",
    "configure_logger",
    "initialize",
    "log_debug",
    "log_error",
    "log_info",
    "log_warn",
    "onWebhookEvent",
    "on_webhook_event",
    "run",
    "run_async",
    "stop",
    "uninitialize",
]
__all__ += [_name for _name in dir(_constants) if not _name.startswith("_")]
