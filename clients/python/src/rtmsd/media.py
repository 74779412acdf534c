"""Which media a client receives, and the parameters that a program of the SDK asks for."""

from __future__ import annotations

import logging
from typing import Any, Mapping

from .callbacks import Callbacks
from .parameters import differences
from .types import AudioParams, DeskshareParams, TranscriptParams, VideoParams

log = logging.getLogger("rtmsd")

MEDIA = {
    "audio": "on_audio_data",
    "video": "on_video_data",
    "share": "on_deskshare_data",
    "transcript": "on_transcript_data",
    "chat": "on_chat",
}


class Media(Callbacks):
    """Media with a callback are received unless they are disabled."""

    def __init__(self) -> None:
        super().__init__()
        self._parameters: dict[str, dict[str, Any]] = {}
        self._asked: dict[str, AudioParams | VideoParams | DeskshareParams] = {}
        self._disabled: set[str] = set()

    def parameters(self, medium: str) -> dict[str, Any]:
        """What Zoom sends of `audio`, `video`, `share` or `transcript`: codec, sample rate; empty if it is not known."""
        return self._parameters.get(medium, {})

    def enable_audio(self, enable: bool) -> None:
        """Whether audio is received, if there is a callback for it."""
        self._enable("audio", enable)

    def enable_video(self, enable: bool) -> None:
        self._enable("video", enable)

    def enable_deskshare(self, enable: bool) -> None:
        self._enable("share", enable)

    def enable_transcript(self, enable: bool) -> None:
        self._enable("transcript", enable)

    def set_audio_params(self, params: AudioParams) -> None:
        """rtmsd's settings decide what Zoom sends; where that differs from `params`, a warning names the setting."""
        self._asked["audio"] = params

    def set_video_params(self, params: VideoParams) -> None:
        """See `set_audio_params`."""
        self._asked["video"] = params

    def set_deskshare_params(self, params: DeskshareParams) -> None:
        """See `set_audio_params`."""
        self._asked["share"] = params

    def set_transcript_params(self, params: TranscriptParams) -> None:
        """Accepted; rtmsd's `TRANSCRIPT_LANGUAGE` decides."""

    enableAudio, enableVideo = enable_audio, enable_video
    enableDeskshare, enableTranscript = enable_deskshare, enable_transcript
    setAudioParams, setVideoParams = set_audio_params, set_video_params
    setDeskshareParams, setTranscriptParams = set_deskshare_params, set_transcript_params

    def _enable(self, medium: str, enable: bool) -> None:
        (self._disabled.discard if enable else self._disabled.add)(medium)
        self._changed()

    def _media(self) -> list[str]:
        wanted = [m for m, name in MEDIA.items() if self._has(name) and m not in self._disabled]
        if self._has("on_entry"):
            wanted += [m for m in ("transcript", "chat") if m not in wanted and m not in self._disabled]
        # An empty list would select everything.
        return wanted or ["chat"]

    def _compare(self, parameters: Mapping[str, dict[str, Any] | None]) -> None:
        """Takes what Zoom sends, and logs where that is not what was asked for."""
        for medium, got in parameters.items():
            is_new = self._parameters.get(medium) != got
            self._parameters[medium] = got or {}
            if got and is_new and medium in self._asked:
                for difference in differences(medium, self._asked[medium], got):
                    log.warning("%s", difference)
