"""Receives every stream with Zoom's own SDK: a reference of the load bench. Arguments: a port for webhooks, a folder.

The SDK reads ca.pem in that folder, and the client's id and secret from ZM_RTMS_CLIENT and ZM_RTMS_SECRET.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import rtms


class Webhooks(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer()
        if body.get("event") == "meeting.rtms_started":
            join(body["payload"])

    def answer(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 4096


def join(payload):
    client = rtms.Client()
    # What the daemon asks for: L16, 16 kHz, mono, mixed, 20 ms.
    client.set_audio_params(
        rtms.AudioParams(content_type=2, codec=1, sample_rate=1, channel=1, data_opt=1, duration=20, frame_size=320)
    )
    client.on_audio_data(ignore)
    client.on_transcript_data(ignore)
    client.join(payload)


def ignore(*_):
    pass


def main():
    port, folder = int(sys.argv[1]), sys.argv[2]
    os.environ["ZM_RTMS_CA"] = os.path.join(folder, "ca.pem")
    rtms.configure_logger({"level": "error"})
    threading.Thread(target=Server(("127.0.0.1", port), Webhooks).serve_forever, daemon=True).start()
    rtms.run()


main()
