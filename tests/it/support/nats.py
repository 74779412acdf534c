"""A client of NATS in its text protocol, written for the tests from its public description.

Arguments: the server's URL, a JetStream stream, a count. Prints so many of the stream's messages, from its first
one on, each as a line of JSON.
"""

import json
import socket
import sys
from urllib.parse import urlsplit

server, stream, count = urlsplit(sys.argv[1]), sys.argv[2], int(sys.argv[3])
connection = socket.create_connection((server.hostname, server.port), timeout=15)
wire = connection.makefile("rwb")


def send(line, payload=None):
    wire.write(line.encode() + b"\r\n" + (b"" if payload is None else payload + b"\r\n"))
    wire.flush()


def headers(block):
    lines = block.decode().split("\r\n")
    assert lines[0].startswith("NATS/1.0"), lines
    return dict(line.split(": ", 1) for line in lines[1:] if line)


assert wire.readline().startswith(b"INFO ")
send('CONNECT {"verbose": false, "pedantic": true, "headers": true, "no_responders": true}')
send("SUB reply 1")
send("SUB entries.here 2")
consumer = {"deliver_subject": "entries.here", "deliver_policy": "all", "ack_policy": "none"}
request = json.dumps({"stream_name": stream, "config": consumer}).encode()
send(f"PUB $JS.API.CONSUMER.CREATE.{stream} reply {len(request)}", request)

while count > 0:
    words = wire.readline().decode().split()
    if words[0] == "PING":
        send("PONG")
    elif words[0] == "MSG":
        answer = json.loads(wire.read(int(words[-1]) + 2))
        assert "error" not in answer, answer
    elif words[0] == "HMSG":
        length, total = int(words[-2]), int(words[-1])
        block, body = wire.read(length), wire.read(total - length)
        assert wire.read(2) == b"\r\n"
        message = {"subject": words[1], "headers": headers(block), "body": json.loads(body)}
        print(json.dumps(message))
        count -= 1
    else:
        sys.exit(f"unexpected: {words}")
