"""A client between callbacks and a daemon that breaks."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from websockets.asyncio.server import ServerConnection

import fake
import rtmsd as rtms
from fake import Fake, behind, end, entry, frame, hello

TIMEOUT_S = 20


class ClientTest(unittest.TestCase):
    def setUp(self) -> None:
        logging.getLogger("rtmsd").setLevel(logging.CRITICAL)

    def serve(self, play: Any) -> Fake:
        server = Fake(play)
        self.addCleanup(server.close)
        return server

    def client(self, server: Fake, **more: Any) -> rtms.Client:
        return rtms.Client(url=server.url, token="token", **more)

    def run_to_end(self, client: rtms.Client, session: Any = fake.SESSION, **more: Any) -> None:
        client.join(session, **more)
        guard = threading.Timer(TIMEOUT_S, rtms.stop)
        guard.start()
        rtms.run(stop_on_empty=True)
        guard.cancel()
        self.assertTrue(client.is_finished)

    def test_each_line_comes_once_over_cuts_refusals_and_repeats(self) -> None:
        async def play(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
            first = behind(query) + 1
            await socket.send(hello())
            # The daemon would not repeat; a client that counts does not mind.
            for seq in range(max(1, first - 2), min(first + 30, 101)):
                await socket.send(entry(seq, name="ordinal" if seq % 2 else "stream"))
            if first + 30 > 100:
                await socket.send(entry(101, "ended", outcome="stopped", reason=6))
                await socket.send(end())
            elif len(server.connections) % 2:
                socket.transport.abort()
                server.refusals = [503, 429] if len(server.connections) == 1 else []

        server = self.serve(play)
        client, lines, leaves, confirms = self.client(server), [], [], []
        client.on_transcript_data(lambda data, size, at, metadata: lines.append(data.decode()))
        client.on_leave(leaves.append)
        client.on_join_confirm(confirms.append)
        self.run_to_end(client)
        self.assertEqual(lines, [f"line {seq}" for seq in range(1, 101)])
        self.assertEqual((confirms, leaves), ([rtms.RTMS_SDK_OK], [rtms.StopReason.MEETING_ENDED]))
        self.assertGreater(len(server.connections), 3)
        self.assertEqual(client.cursor, "1:101")

    def test_a_slow_callback_loses_frames_which_are_counted_and_no_entry(self) -> None:
        async def play(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
            await socket.send(hello())
            first = behind(query) + 1
            for seq in range(first, 61):
                await socket.send(entry(seq))
            # A connection that is let go for want of room does not come so far.
            for seq in range(1, 1001):
                await socket.send(frame(seq, bytes(1000)))
            await socket.send(end())

        server = self.serve(play)
        client = self.client(server, buffer_bytes=20_000, max_waiting=80)
        lines, frames, dropped = [], [], []

        @client.on_transcript_data
        def slow(data: bytes, *_: Any) -> None:
            time.sleep(0.01)
            lines.append(data.decode())

        client.on_audio_data(lambda data, *_: frames.append(len(data)))
        client.on_dropped(lambda medium, count, where: dropped.append((medium, count, where)))
        self.run_to_end(client)
        self.assertEqual(lines, [f"line {seq}" for seq in range(1, 61)])
        self.assertGreater(len(server.connections), 1, "the reader lets go while there is no room")
        lost = sum(count for _, count, where in dropped if where == "client")
        self.assertGreater(lost, 0)
        self.assertEqual(len(frames) + lost, 1000)
        self.assertEqual({where for _, _, where in dropped}, {"client"})

    def test_frames_that_came_between_two_connections_are_reported(self) -> None:
        async def play(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
            await socket.send(hello())
            if len(server.connections) == 1:
                await socket.send(frame(1, b"a"))
                await socket.send(json.dumps({"type": "dropped", "medium": "audio", "count": 2}))
                await socket.send(frame(4, b"b"))
                return
            await socket.send(frame(9, b"c"))
            await socket.send(end())

        client, frames, dropped = self.client(self.serve(play)), [], []
        client.on_audio_data(lambda data, *_: frames.append(data))
        client.on_dropped(lambda *args: dropped.append(args))
        self.run_to_end(client)
        self.assertEqual(frames, [b"a", b"b", b"c"])
        self.assertEqual(sorted(dropped), [("audio", 2, "rtmsd"), ("audio", 4, "connection")])

    def test_what_cannot_be_joined_is_confirmed_with_a_code_and_not_tried_for_ever(self) -> None:
        async def play(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
            await socket.send(json.dumps({"type": "error", "code": "invalid", "detail": "no such cursor"}))
            await socket.close(1008, "no")

        server = self.serve(play)
        cases = [
            ({"token": "another"}, fake.SESSION, rtms.RTMS_SDK_FAILURE),
            ({"token": "token"}, "no-such-meeting", rtms.RTMS_SDK_NOT_EXIST),
            ({"token": "token"}, fake.SESSION, rtms.RTMS_SDK_FAILURE),
        ]
        for where, session, code in cases:
            client, confirms, leaves = rtms.Client(url=server.url, **where), [], []
            client.on_join_confirm(confirms.append)
            client.on_leave(leaves.append)
            self.run_to_end(client, session, timeout=100)
            self.assertEqual((confirms, leaves), ([code], []))

    def test_an_sdk_program_finds_its_session_by_the_webhooks_payload(self) -> None:
        async def play(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
            await socket.send(hello())
            await socket.send(end())

        server = self.serve(play)
        payload = {"meeting_uuid": "uuid/of==", "rtms_stream_id": "stream-1", "server_urls": "wss://zoom"}
        for named in (payload, {"payload": payload}, {"session_id": fake.SESSION}, "91234567890", "912 3456 7890"):
            client, confirms = self.client(server), []
            client.onJoinConfirm(confirms.append)
            self.run_to_end(client, named)
            self.assertEqual((confirms, client.session), ([0], fake.SESSION))
        client = self.client(server)
        client.join(meeting_uuid="uuid/of==", rtms_stream_id="another", server_urls="", timeout=0)
        with self.assertRaises(RuntimeError):
            client.join(fake.SESSION)
        with self.assertRaises(ValueError):
            self.client(server).join(server_urls="wss://zoom")

    def test_only_what_has_a_callback_is_requested(self) -> None:
        asked = []
        for names in (["on_audio_data", "on_transcript_data"], ["on_video_data", "on_deskshare_data"], ["on_leave"], ["on_entry"]):

            async def play(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
                asked.append(query["media"])
                await socket.send(hello())
                await socket.send(end())

            client = self.client(self.serve(play))
            for name in names:
                getattr(client, name)(lambda *_: None)
            self.run_to_end(client)
        self.assertEqual(asked, ["audio,transcript", "video,share", "chat", "transcript,chat"])

    def test_leave_ends_the_callbacks_with_one_last(self) -> None:
        async def play(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
            await socket.send(hello())
            for seq in range(1, 1000):
                await socket.send(entry(seq))
            await socket.wait_closed()

        lines, leaves = [], []
        with self.client(self.serve(play)) as client:
            client.on_leave(leaves.append)

            @client.on_transcript_data
            def line(data: bytes, *_: Any) -> None:
                lines.append(data)
                client.leave()

            self.run_to_end(client)
        self.assertEqual((len(lines), leaves), (1, [0]))

    def test_a_callback_that_raises_does_not_end_the_client(self) -> None:
        lines: list[bytes] = []

        def fail(data: bytes, *_: Any) -> None:
            lines.append(data)
            raise ValueError("mine")

        async def fail_later(data: bytes, *_: Any) -> None:
            fail(data)

        for callback in (fail, fail_later):
            client = self.client(self.serve(three_lines))
            client.on_transcript_data(callback)
            self.run_to_end(client)
        self.assertEqual(len(lines), 6)

    def test_callbacks_run_on_the_thread_of_run_in_an_executor_or_in_the_programs_loop(self) -> None:
        threads: list[str] = []

        def note(*_: Any) -> None:
            threads.append(threading.current_thread().name)

        async def note_in_loop(*_: Any) -> None:
            await asyncio.sleep(0)
            threads.append(threading.current_thread().name)

        client = self.client(self.serve(three_lines))
        client.on_transcript_data(note)
        self.run_to_end(client)
        with ThreadPoolExecutor(2, "mine") as executor:
            client = self.client(self.serve(three_lines), executor=executor)
            client.on_transcript_data(note)
            self.run_to_end(client)

        async def main() -> None:
            client = self.client(self.serve(three_lines))
            client.on_transcript_data(note_in_loop)
            client.join(fake.SESSION)
            await asyncio.wait_for(rtms.run_async(stop_on_empty=True), TIMEOUT_S)

        asyncio.run(main())
        self.assertEqual(len(threads), 9)
        self.assertEqual(threads[:3], ["MainThread"] * 3)
        self.assertTrue(all(name.startswith("mine") for name in threads[3:6]), threads)
        self.assertEqual(threads[6:], ["MainThread"] * 3)

    def test_a_pool_and_a_client_of_its_own_thread_work_without_run(self) -> None:
        pool = rtms.EventLoopPool(2, strategy="round_robin")
        lines: list[bytes] = []
        for _ in range(4):
            client = self.client(self.serve(three_lines))
            client.on_transcript_data(lambda data, *_: lines.append(data))
            pool.add(client)
            client.join(fake.SESSION)
        self.assertEqual([loop.client_count for loop in pool.loops], [2, 2])
        pool.run(stop_on_empty=True)
        self.assertEqual(len(lines), 12)
        done = threading.Event()
        client = self.client(self.serve(three_lines))
        client.on_leave(lambda _: done.set())
        client.join(fake.SESSION)
        self.assertTrue(done.wait(TIMEOUT_S))

    def test_pending_coroutines_are_bounded(self) -> None:
        running, most = 0, 0

        async def slow(*_: Any) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1

        async def play(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
            await socket.send(hello())
            for seq in range(1, 200):
                await socket.send(entry(seq))
            await socket.send(end())

        client, left = self.client(self.serve(play), max_pending=5), []
        client.on_transcript_data(slow)
        client.on_leave(lambda _: left.append(running))
        self.run_to_end(client)
        self.assertEqual(left, [0], "the last callback comes when the others are done")
        self.assertLessEqual(most, 5)

    def test_streams_are_announced_once_each_as_zooms_webhooks(self) -> None:
        async def play(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
            # The second connection comes after a restart: the stream has ended meanwhile.
            await socket.send(hello(session=None) if len(server.connections) < 3 else hello(session=None, streams=[]))
            if len(server.connections) < 3:
                return
            await socket.wait_closed()

        server, events, done = self.serve(play), [], threading.Event()

        @rtms.on_webhook_event(url=server.url, token="token")
        def handle(webhook: dict[str, Any]) -> None:
            events.append((webhook["event"], webhook["payload"]["meeting_uuid"], webhook["payload"].get("stop_reason")))
            if webhook["event"] == "meeting.rtms_stopped":
                done.set()

        self.assertTrue(done.wait(TIMEOUT_S))
        self.assertEqual(
            events, [("meeting.rtms_started", "uuid/of==", None), ("meeting.rtms_stopped", "uuid/of==", 6)]
        )


async def three_lines(server: Fake, socket: ServerConnection, query: dict[str, str]) -> None:
    await socket.send(hello())
    for seq in (1, 2, 3):
        await socket.send(entry(seq))
    await socket.send(end())


if __name__ == "__main__":
    unittest.main()
