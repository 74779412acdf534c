"""Prints every transcript line that rtmsd has published to NATS JetStream, and goes on where it was after a restart.

    pip install nats-py
    NATS_URL=nats://127.0.0.1:4222 python3 examples/nats_consumer.py

The daemon needs NATS_URL. The durable consumer `transcripts` remembers what was acknowledged; a line that comes again
within the same run, after an outage of the broker, is recognized by its Nats-Msg-Id.
"""

import asyncio
import json
import os
from collections import OrderedDict

import nats
from nats.errors import TimeoutError as NothingYet
from nats.js.api import AckPolicy, ConsumerConfig

STREAM = os.environ.get("NATS_STREAM", "RTMSD")
SUBJECT = "rtms.*.*.entries.transcript"
REMEMBERED = 10_000


async def main() -> None:
    broker = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT)
    lines = await broker.jetstream().pull_subscribe(SUBJECT, durable="transcripts", stream=STREAM, config=config)
    seen: OrderedDict[str, None] = OrderedDict()
    while True:
        try:
            messages = await lines.fetch(100, timeout=5)
        except NothingYet:
            continue
        for message in messages:
            entry_id = (message.headers or {})["Nats-Msg-Id"]
            if entry_id not in seen:
                seen[entry_id] = None
                if len(seen) > REMEMBERED:
                    seen.popitem(last=False)
                line = json.loads(message.data)
                print(json.dumps({"id": entry_id, "who": line["user_name"], "text": line["text"]}), flush=True)
            await message.ack()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
