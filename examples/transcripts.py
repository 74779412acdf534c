"""Prints every transcript line of every meeting, and each gap, as they come.

    pip install ./clients/python
    RTMSD_URL=http://localhost:3000 RTMSD_TOKEN=$(cat data/api-token) python3 examples/transcripts.py

With a session's id, a meeting number or Zoom's UUID as argument only that one, until it ends. The program is one for
Zoom's SDK: `import rtmsd as rtms` is all that was changed.
"""

import logging
import sys
from typing import Any

import rtmsd as rtms


def follow(session: Any) -> None:
    client = rtms.Client()

    @client.on_transcript_data
    def line(data: bytes, size: int, timestamp: int, metadata: rtms.Metadata) -> None:
        print(f"{metadata.userName}: {data.decode()}", flush=True)

    @client.on_gap
    def gap(gap: rtms.Gap) -> None:
        print(f"-- {gap.end_ms - gap.start_ms} ms of {gap.medium} are missing: {gap.cause}", flush=True)

    @client.on_join_confirm
    def joined(reason: int) -> None:
        if reason != rtms.RTMS_SDK_OK:
            print(f"-- cannot join {session}: {reason}", file=sys.stderr)

    client.join(session)


def announced(webhook: dict[str, Any]) -> None:
    if webhook["event"].endswith(".rtms_started"):
        follow(webhook["payload"])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    if len(sys.argv) > 1:
        follow(sys.argv[1])
        rtms.run(stop_on_empty=True)
    else:
        rtms.on_webhook_event(announced)
        rtms.run()
