"""What callbacks receive, and what the parameter setters take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, TypeVar

UserId = int | str
"""A meeting numbers its participants; Contact Center names them by a text. 0 if nobody is named."""

Callback = TypeVar("Callback", bound=Callable[..., Any])


@dataclass(frozen=True)
class AiTargetLanguage:
    """A target language of the AI interpreter. rtmsd does not report it; the class exists for type hints."""

    lid: int = 0
    toneId: int = 0
    voiceId: str = ""
    engine: str = ""


@dataclass(frozen=True)
class AiInterpreter:
    """The AI interpreter of an audio stream. rtmsd does not report it; the fields keep their defaults."""

    lid: int = 0
    timestamp: int = 0
    channelNum: int = 0
    sampleRate: int = 0
    targets: list[AiTargetLanguage] = field(default_factory=list)


_NO_INTERPRETER = AiInterpreter()


@dataclass(frozen=True)
class Metadata:
    """Who data belongs to, and when it was said (Unix milliseconds)."""

    userName: str
    userId: UserId
    startTs: int
    """Of a transcript line its start; of a frame its time."""
    endTs: int
    aiInterpreter: AiInterpreter = _NO_INTERPRETER
    streamId: str = ""
    """Zoom's id of the stream."""
    seq: int = 0
    """The number in the stream's log, or among the stream's frames of the medium."""
    channelId: str | None = None
    """The party of a Contact Center engagement."""
    speakerId: UserId | None = None
    """Who speaks in mixed audio, as Zoom last said."""
    language: int | None = None
    """Of a transcript line, as in `TranscriptLanguage`."""


@dataclass(frozen=True)
class Participant:
    """A person in the meeting."""

    id: UserId
    name: str


@dataclass(frozen=True)
class Session:
    """A Zoom session inside a stream, at the time of an update."""

    sessionId: str
    streamId: str
    meetingId: str
    statTime: int
    status: int
    isActive: bool
    isPaused: bool


@dataclass(frozen=True)
class Gap:
    """A span in which a medium was or may have been lost: from `start_ms` up to, and without, `end_ms`."""

    medium: str
    start_ms: int
    end_ms: int
    cause: str
    stream_id: str


@dataclass
class AudioParams:
    """What a program of the SDK asks Zoom for. rtmsd's settings decide; a difference is logged."""

    content_type: int = 2
    codec: int = 4
    sample_rate: int = 3
    channel: int = 2
    data_opt: int = 2
    duration: int = 20
    frame_size: int = 960


@dataclass
class VideoParams:
    """See `AudioParams`. 0 asks for nothing."""

    content_type: int = 3
    codec: int = 7
    resolution: int = 2
    data_opt: int = 3
    fps: int = 30


@dataclass
class DeskshareParams(VideoParams):
    """See `VideoParams`."""


@dataclass
class TranscriptParams:
    """See `AudioParams`."""

    content_type: int = 5
    src_language: int = -1
    enable_lid: bool = True


def _alias(cls: type, camel: str, snake: str) -> None:
    def read(self: Any) -> Any:
        return getattr(self, snake)

    def write(self: Any, value: Any) -> None:
        setattr(self, snake, value)

    setattr(cls, camel, property(read, write, doc=f"The same as `{snake}`."))


_CAMEL = {
    "contentType": "content_type",
    "sampleRate": "sample_rate",
    "dataOpt": "data_opt",
    "frameSize": "frame_size",
    "srcLanguage": "src_language",
    "enableLid": "enable_lid",
}
for _cls in (AudioParams, VideoParams, TranscriptParams):
    for _name, _snake in _CAMEL.items():
        if _snake in _cls.__dataclass_fields__:
            _alias(_cls, _name, _snake)
