"""Writes a WAV file for each speaker of a session until it ends.

    pip install ./clients/python
    RTMSD_URL=http://localhost:3000 RTMSD_TOKEN=$(cat data/api-token) python3 examples/wav_per_speaker.py SESSION [FOLDER]

The daemon needs MEDIA_TYPES with audio, and AUDIO_CODEC=l16. The files hold what Zoom sent, one frame behind the other;
with AUDIO_STREAMS=mixed it is one file, mixed.wav.
"""

import logging
import re
import sys
import wave
from pathlib import Path

import rtmsd as rtms

folder = Path(sys.argv[2] if len(sys.argv) > 2 else ".")
files: dict[str, wave.Wave_write] = {}
client = rtms.Client(buffer_bytes=64 * 1024 * 1024)


def open_file(name: str) -> wave.Wave_write:
    sound = client.parameters("audio")
    if sound.get("codec") != "l16":
        sys.exit(f"the audio is {sound.get('codec')}: set AUDIO_CODEC=l16")
    file = wave.open(str(folder / name), "wb")
    file.setnchannels(2 if sound["channels"] == "stereo" else 1)
    file.setsampwidth(2)
    file.setframerate(sound["sample_rate"])
    return file


@client.on_join_confirm
def joined(reason: int) -> None:
    print("joined" if reason == rtms.RTMS_SDK_OK else f"cannot join: {reason}", flush=True)


@client.on_audio_data
def audio(data: bytes, size: int, timestamp: int, metadata: rtms.Metadata) -> None:
    speaker = metadata.channelId or metadata.userId
    name = f"{speaker}-{metadata.userName}" if speaker else "mixed"
    name = re.sub(r"[^\w-]+", "_", name) + ".wav"
    if name not in files:
        files[name] = open_file(name)
    files[name].writeframesraw(data)


@client.on_dropped
def dropped(medium: str, count: int, where: str) -> None:
    print(f"{count} frames of {medium} are missing ({where})", file=sys.stderr)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    client.join(sys.argv[1])
    rtms.run(stop_on_empty=True)
    for name, file in files.items():
        file.close()
        print(name)
