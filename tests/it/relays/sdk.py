"""A program on Zoom's own SDK, unchanged: what it receives comes out as lines of JSON.

    sdk.py webhook PORT        waits for meeting.rtms_started at http://127.0.0.1:PORT/
    sdk.py join PAYLOAD        joins the stream of this payload, as JSON
"""

import hashlib
import json
import sys
import threading

import rtms

lock = threading.Lock()


def say(**what):
    with lock:
        print(json.dumps(what), flush=True)


def frame(medium):
    def receive(data, size, timestamp, metadata):
        checksum = int.from_bytes(hashlib.sha256(data).digest()[:4], "big")
        say(medium=medium, at=timestamp, bytes=size, sum=checksum, user=metadata.userId)

    return receive


def line(data, size, timestamp, metadata):
    text = data.decode() if isinstance(data, bytes) else data
    say(medium="transcript", text=text, user=metadata.userName)


clients = {}


def join(payload):
    stream = payload["rtms_stream_id"]
    if stream in clients:
        return
    client = clients[stream] = rtms.Client()
    client.on_join_confirm(lambda reason: say(joined=reason))
    client.on_leave(lambda reason: say(left=reason))
    client.on_audio_data(frame("audio"))
    client.on_transcript_data(line)
    client.on_participant_event(lambda event, at, people: say(event=event, people=len(people)))
    client.join(payload)


def webhook(body):
    say(webhook=body["event"])
    if body["event"] == "meeting.rtms_started":
        join(body["payload"])
    elif body["event"] == "meeting.rtms_stopped":
        say(stopped=body["payload"]["stop_reason"])


mode, argument = sys.argv[1:]
if mode == "webhook":
    rtms.onWebhookEvent(webhook, port=int(argument), path="/")
else:
    join(json.loads(argument))
say(ready=True)
rtms.run()
