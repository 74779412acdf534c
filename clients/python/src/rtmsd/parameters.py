"""What a program of the SDK asks Zoom for, compared with what Zoom sends to rtmsd. Pure."""

from __future__ import annotations

from typing import Any, Mapping

from . import constants as c
from .types import AudioParams, DeskshareParams, VideoParams

_CODECS = {"l16": 1, "g711": 2, "g722": 3, "opus": 4, "jpg": 5, "png": 6, "h264": 7}
_RATES = {8000: 0, 16000: 1, 32000: 2, 48000: 3}
_CHANNELS = {"mono": 1, "stereo": 2}
_STREAMS = {"mixed": c.DataOption.AUDIO_MIXED_STREAM, "per_participant": c.DataOption.AUDIO_MULTI_STREAMS}
_RESOLUTIONS = {"sd": 1, "hd": 2, "fhd": 3, "qhd": 4}

# A field of the parameters, rtmsd's name for it, its values, and the setting that decides.
_Rows = tuple[tuple[str, str, Mapping[Any, int] | None, str], ...]
_AUDIO: _Rows = (
    ("codec", "codec", _CODECS, "AUDIO_CODEC"),
    ("sample_rate", "sample_rate", _RATES, "AUDIO_SAMPLE_RATE"),
    ("channel", "channels", _CHANNELS, "AUDIO_CHANNELS"),
    ("data_opt", "streams", _STREAMS, "AUDIO_STREAMS"),
)
_PICTURES: _Rows = (
    ("codec", "codec", _CODECS, "{}_CODEC"),
    ("resolution", "resolution", _RESOLUTIONS, "{}_RESOLUTION"),
    ("fps", "fps", None, "{}_FPS"),
)


def differences(medium: str, wanted: AudioParams | VideoParams | DeskshareParams, got: Mapping[str, Any]) -> list[str]:
    """Each parameter that Zoom sends otherwise than the program asked, and rtmsd's setting for it."""
    told = []
    for field, name, numbers, setting in _AUDIO if medium == "audio" else _PICTURES:
        asked, value = getattr(wanted, field), got.get(name)
        number = numbers.get(value) if numbers else value
        is_asked = bool(asked) or field == "sample_rate"  # 0 is a rate, and nothing elsewhere
        if is_asked and number is not None and asked != number:
            told.append(f"{medium} {name} is {value} and not what was asked for: {setting.format(medium.upper())}")
    return told
