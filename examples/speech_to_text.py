"""A speech-to-text server for rtmsd's Twilio format: any server made for Twilio Media Streams works the same way.

    pip install websockets
    python3 examples/speech_to_text.py --port 8090 -- whisper-cli -m ggml-base.en.bin -nt -np -f -

    curl -s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
         -d '{"url": "ws://127.0.0.1:8090/", "format": "twilio"}' $API/sessions/$ID/forward

The daemon dials this server (FORWARD_ALLOWED_HOSTS=127.0.0.1 and FORWARD_ALLOW_WS=true; AUDIO_CODEC=l16) and sends the
mixed voices. Each utterance, from speech to half a second of silence, goes to the command behind `--` as a WAV file on its
standard input, and what it prints is printed as a line of JSON. Any recognizer that reads a WAV file will do.
"""

import argparse
import asyncio
import base64
import io
import json
import struct
import wave

from websockets.asyncio.server import ServerConnection, serve

RATE = 8000
CHUNK_MS = 20
LOUD = 500
"""The mean amplitude of speech, of 32768."""
SILENCE_CHUNKS = 25
MAX_CHUNKS = 1500
"""30 s: a longer utterance is cut."""


def mulaw(byte: int) -> int:
    """The 16-bit sample of a byte of G.711 µ-law."""
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 0x84) << ((byte & 0x70) >> 4)
    return 0x84 - magnitude if byte & 0x80 else magnitude - 0x84


SAMPLES = [mulaw(byte) for byte in range(256)]


class Utterances:
    """Cuts an unbroken track into utterances."""

    def __init__(self) -> None:
        self.chunks: list[list[int]] = []
        self.silent = 0
        self.position = 0

    def take(self, chunk: bytes) -> tuple[int, bytes] | None:
        """The start in ms and the WAV file of an utterance that has just ended."""
        samples = [SAMPLES[byte] for byte in chunk]
        is_loud = sum(map(abs, samples)) > LOUD * len(samples)
        self.position += 1
        if not self.chunks and not is_loud:
            return None
        self.chunks.append(samples)
        self.silent = 0 if is_loud else self.silent + 1
        return self.end() if self.silent >= SILENCE_CHUNKS or len(self.chunks) >= MAX_CHUNKS else None

    def end(self) -> tuple[int, bytes] | None:
        if not self.chunks:
            return None
        start_ms = (self.position - len(self.chunks)) * CHUNK_MS
        samples = [sample for chunk in self.chunks for sample in chunk]
        self.chunks, self.silent = [], 0
        file = io.BytesIO()
        with wave.open(file, "wb") as wav:
            wav.setparams((1, 2, RATE, 0, "NONE", ""))
            wav.writeframes(struct.pack(f"<{len(samples)}h", *samples))
        return start_ms, file.getvalue()


async def recognize(command: list[str], utterance: tuple[int, bytes], call: str) -> None:
    start_ms, wav = utterance
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    text, _ = await process.communicate(wav)
    print(json.dumps({"call": call, "start_ms": start_ms, "text": text.decode().strip()}), flush=True)


async def answer(socket: ServerConnection, command: list[str]) -> None:
    # One after the other: the utterances behind a slow recognizer wait.
    waiting: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue(100)
    call = ""

    async def work() -> None:
        while utterance := await waiting.get():
            await recognize(command, utterance, call)

    worker = asyncio.create_task(work())
    utterances = Utterances()
    async for data in socket:
        message = json.loads(data)
        ended = None
        if message["event"] == "start":
            call = message["start"]["customParameters"]["session_id"]
        elif message["event"] == "media":
            ended = utterances.take(base64.b64decode(message["media"]["payload"]))
        elif message["event"] == "stop":
            break
        if ended:
            await waiting.put(ended)
    if last := utterances.end():
        await waiting.put(last)
    await waiting.put(None)
    await worker


async def main() -> None:
    parser = argparse.ArgumentParser(description="Speech-to-text for rtmsd's Twilio format")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("command", nargs="+", help="reads a WAV file on its standard input and prints the text")
    options = parser.parse_args()
    async with serve(lambda socket: answer(socket, options.command), "127.0.0.1", options.port) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(json.dumps({"listening": f"ws://127.0.0.1:{port}/"}), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
