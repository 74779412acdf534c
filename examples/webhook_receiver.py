"""Receives rtmsd's webhooks, verifies them with the Standard Webhooks library, and prints each event once.

    pip install standardwebhooks
    WEBHOOK_SECRET=whsec_… python3 examples/webhook_receiver.py 5000

The secret is in the answer to `POST /api/v1/webhooks/endpoints` with {"url": "http://127.0.0.1:5000/"}; an endpoint on
your own machine needs WEBHOOKS_ALLOWED_HOSTS=127.0.0.1.
"""

import json
import os
import sys
import threading
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 1024 * 1024
REMEMBERED = 10_000

hook = Webhook(os.environ["WEBHOOK_SECRET"])
# In production a table of your database, written in the transaction that processes the event.
seen: OrderedDict[str, None] = OrderedDict()
# Each delivery has a thread of its own: without the lock two could take one event, or print into one line.
one_at_a_time = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > MAX_BODY_BYTES:
            return self.answer(413)
        try:
            event = hook.verify(self.rfile.read(length), {k.lower(): v for k, v in self.headers.items()})
        except WebhookVerificationError:
            return self.answer(401)
        with one_at_a_time:
            self.take(self.headers["webhook-id"], event)
        self.answer(204)

    def take(self, event_id: str, event: dict) -> None:
        if event_id in seen:
            return
        seen[event_id] = None
        if len(seen) > REMEMBERED:
            seen.popitem(last=False)
        print(json.dumps({"id": event_id, "type": event["type"], "data": event["data"]}), flush=True)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    # Connections that wait to be accepted: events come in bursts, and five is Python's default.
    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 5000), Receiver)
    print(json.dumps({"listening": f"http://127.0.0.1:{server.server_port}/"}), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
