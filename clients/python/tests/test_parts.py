"""The parts that know no socket, and the REST client."""

from __future__ import annotations

import http.server
import json
import signal
import threading
import unittest
from typing import Any

import rtmsd as rtms
from rtmsd import events
from rtmsd.inbox import Call, Inbox
from rtmsd.parameters import differences

ANA = {"user_id": 16778240, "user_name": "Ana"}


def of(kind: str, **more: Any) -> list[Call]:
    entry = {"kind": kind, "stream_id": "s", "ordinal": 1, "seq": 1, "at_ms": 5, "cursor": "1:1"} | more
    return [call for call in events.calls(entry, "uuid") if call.name not in ("on_entry", "on_event_ex")]


# The public names of Zoom's SDK 1.1.0 that programs use.
MODULE = """AiInterpreter AiTargetLanguage AudioChannel AudioCodec AudioContentType AudioDataOption AudioParams AudioSampleRate
Client DataOption DeskshareParams EventLoop EventLoopPool EventType LogFormat LogLevel MediaDataType MessageType Metadata
Participant Session SessionState StopReason StreamState TranscriptLanguage TranscriptParams VideoCodec VideoContentType
VideoDataOption VideoParams VideoResolution configure_logger initialize log_debug log_error log_info log_warn onWebhookEvent
on_webhook_event run run_async stop uninitialize EVENT_ACTIVE_SPEAKER_CHANGE MEDIA_TYPE_ALL RTMS_SDK_OK SESSION_EVENT_ADD
SESS_STATUS_ACTIVE USER_JOIN USER_LEAVE""".split()
CLIENT = """alloc enableAudio enableDeskshare enableTranscript enableVideo enable_audio enable_deskshare enable_transcript
enable_video initialize is_allocated join leave onActiveSpeakerEvent onAudioData onDeskshareData onEventEx onJoinConfirm onLeave
onMediaConnectionInterrupted onParticipantEvent onParticipantVideo onSessionUpdate onSharingEvent onTranscriptData onUserUpdate
onVideoData onVideoSubscribed on_active_speaker_event on_audio_data on_deskshare_data on_event_ex on_join_confirm on_leave
on_media_connection_interrupted on_participant_event on_participant_video on_session_update on_sharing_event on_transcript_data
on_user_update on_video_data on_video_subscribed on_webhook_event poll release setAudioParams setDeskshareParams setProxy
setTranscriptParams setVideoParams set_audio_params set_deskshare_params set_proxy set_transcript_params set_video_params stop
streamId stream_id subscribeEvent subscribeVideo subscribe_event subscribe_video uninitialize unsubscribeEvent unsubscribe_event
uuid""".split()


class Pressing:
    """A member of a loop that presses Ctrl-C in its callback, as often as it is told to."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.calls: list[str] = []

    def _dispatch(self) -> bool:
        if not self.calls:
            self.calls.append("begins")
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
            self.calls.append("ends")
        return False

    def _is_over(self) -> bool:
        return False

    def _joined(self, loop: rtms.EventLoop) -> None:
        pass

    def leave(self) -> bool:
        self.calls.append("leaves")
        return True


class InterruptTest(unittest.TestCase):
    def press(self, times: int) -> list[str]:
        member, loop = Pressing(times), rtms.EventLoop()
        loop.add(member)
        loop.run()
        self.assertIs(signal.getsignal(signal.SIGINT), signal.default_int_handler)
        return member.calls

    def test_ctrl_c_ends_the_loop_after_the_callback_and_a_second_one_in_it(self) -> None:
        self.assertEqual(self.press(1), ["begins", "ends", "leaves"])
        self.assertEqual(self.press(2), ["begins", "leaves"])

    def test_a_handler_of_the_program_stays(self) -> None:
        pressed: list[int] = []
        loop = rtms.EventLoop()
        member = Pressing(1)
        loop.add(member)

        def handle(number: int, _: object) -> None:
            pressed.append(number)
            loop.stop()

        before = signal.signal(signal.SIGINT, handle)
        try:
            loop.run()
            self.assertIs(signal.getsignal(signal.SIGINT), handle)
        finally:
            signal.signal(signal.SIGINT, before)
        self.assertEqual(pressed, [signal.SIGINT])


class NamesTest(unittest.TestCase):
    def test_what_a_program_of_the_sdk_names_is_there(self) -> None:
        self.assertEqual([name for name in MODULE if name not in rtms.__all__], [])
        self.assertEqual([name for name in CLIENT if not hasattr(rtms.Client, name)], [])


class EventsTest(unittest.TestCase):
    def test_entries_become_the_sdks_callbacks(self) -> None:
        people = [{"user_id": 16778240, "user_name": "Ana", "userId": 16778240, "userName": "Ana"}]
        gap = {"medium": "audio", "start_ms": 1, "end_ms": 2, "cause": "link_lost"}
        cases: list[tuple[list[Call], list[tuple[str, tuple[Any, ...]]]]] = [
            (
                of("participant_joined", **ANA),
                [
                    ("on_participant_event", ("join", 5, people)),
                    ("on_user_update", (rtms.USER_JOIN, rtms.Participant(16778240, "Ana"))),
                ],
            ),
            (of("active_speaker", **ANA), [("on_active_speaker_event", (5, 16778240, "Ana"))]),
            (of("sharing_started", **ANA), [("on_sharing_event", ("start", 5, 16778240, "Ana"))]),
            (of("sharing_stopped"), [("on_sharing_event", ("stop", 5, None, None))]),
            (of("video_off", **ANA), [("on_participant_video", ([16778240], False))]),
            (of("link_down", link="audio", cause="closed"), [("on_media_connection_interrupted", (5,))]),
            (of("link_down", link="signaling", cause="closed"), []),
            (of("gap", **gap), [("on_gap", (rtms.Gap("audio", 1, 2, "link_lost", "s"),))]),
            (of("of a later version"), []),
        ]
        for made, wanted in cases:
            self.assertEqual([(call.name, call.args) for call in made], wanted)

    def test_a_line_is_bytes_with_its_speaker_and_times(self) -> None:
        line = {"text": "Grüße", "start_ms": 3, "end_ms": 4, "language": 14}
        (call,) = of("transcript", **line, user_id=None, user_name=None, channel_id="c1")
        data, size, at_ms, metadata = call.args
        self.assertEqual((data, size, at_ms), ("Grüße".encode(), 7, 5))
        self.assertEqual((metadata.userId, metadata.userName, metadata.channelId), (0, "", "c1"))
        self.assertEqual((metadata.startTs, metadata.endTs, metadata.language), (3, 4, 14))

    def test_session_states_become_updates(self) -> None:
        states = {"started": (1, True, False), "paused": (3, False, True), "resumed": (4, True, False), "stopped": (2, False, False)}
        for state, wanted in states.items():
            (call,) = of("session_state", state=state, rtms_session_id="z", reason=None)
            operation, session = call.args
            self.assertEqual((operation, session.isActive, session.isPaused), wanted)
            self.assertEqual((session.sessionId, session.streamId, session.meetingId), ("z", "s", "uuid"))
        self.assertEqual(of("session_state", state="initialize", rtms_session_id="z"), [])

    def test_raw_events_have_zooms_numbers(self) -> None:
        entry = {"kind": "contact_center_event", "code": 12, "name": "user_hold", "seq": 1, "at_ms": 5, "participant": None}
        raw = [call for call in events.calls(entry, "") if call.name == "on_event_ex"]
        self.assertEqual(json.loads(raw[0].args[0])["event_type"], rtms.EVENT_USER_HOLD)

    def test_the_number_of_the_stream_has_two_names(self) -> None:
        self.assertEqual([events.ordinal({"stream": 2}), events.ordinal({"stream": 1, "ordinal": 3})], [2, 3])

    def test_parameters_that_differ_name_the_setting(self) -> None:
        got = {"codec": "l16", "sample_rate": 16000, "channels": "mono", "streams": "mixed"}
        same = rtms.AudioParams(codec=rtms.AudioCodec.L16, sample_rate=1, channel=1, data_opt=1)
        self.assertEqual(differences("audio", same, got), [])
        told = " ".join(differences("audio", rtms.AudioParams(), got))
        for setting in ("AUDIO_CODEC", "AUDIO_SAMPLE_RATE", "AUDIO_CHANNELS", "AUDIO_STREAMS"):
            self.assertIn(setting, told)
        self.assertEqual(differences("video", rtms.VideoParams(), {"codec": "h264", "resolution": "hd", "fps": 30}), [])
        self.assertEqual(differences("video", rtms.VideoParams(fps=0), {"codec": "h264", "fps": 25}), [])
        self.assertIn("VIDEO_FPS", differences("video", rtms.VideoParams(fps=5), {"fps": 25})[0])

    def test_parameters_have_both_spellings(self) -> None:
        params = rtms.AudioParams()
        params.sampleRate = 1  # type: ignore[attr-defined]
        self.assertEqual((params.sample_rate, params.dataOpt), (1, 2))  # type: ignore[attr-defined]


class InboxTest(unittest.TestCase):
    def test_order_is_kept_and_the_oldest_frames_go(self) -> None:
        inbox = Inbox(max_bytes=25, max_calls=2)
        for index in range(4):
            inbox.put_frame(Call("frame", (index,), "audio", 10))
        self.assertTrue(inbox.put([Call("entry", ())]))
        inbox.put_frame(Call("frame", (4,), "audio", 5))
        names = []
        while call := inbox.take(is_idle=True):
            names.append((call.name, call.args))
        self.assertEqual(names, [("on_dropped", ("audio", 2, "client")), ("frame", (2,)), ("frame", (3,)), ("entry", ()), ("frame", (4,))])

    def test_entries_are_refused_whole_and_never_dropped(self) -> None:
        inbox = Inbox(max_bytes=10, max_calls=2)
        self.assertTrue(inbox.put([Call("a", ())] * 3), "a single entry always fits")
        self.assertFalse(inbox.put([Call("b", ())]))
        self.assertFalse(inbox.has_room())
        for _ in range(2):
            inbox.take(is_idle=True)
        self.assertTrue(inbox.has_room() and inbox.put([Call("b", ())]))

    def test_the_last_call_always_fits_and_nothing_comes_behind_it(self) -> None:
        inbox = Inbox(max_bytes=10, max_calls=1)
        inbox.put([Call("a", ())])
        inbox.close(Call("last", ()), is_emptied=True)
        self.assertTrue(inbox.put([Call("late", ())]))
        inbox.put_frame(Call("late", (), "audio", 1))
        self.assertIsNone(inbox.take(is_idle=False), "an earlier call runs still")
        self.assertEqual(inbox.take(is_idle=True), Call("last", ()))
        self.assertTrue(inbox.is_empty())


class Server(http.server.BaseHTTPRequestHandler):
    seen: list[tuple[str, str, str | None]] = []

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.seen.append((self.command, self.path, self.headers["Idempotency-Key"]))
        if "missing" in self.path:
            self.say(409, {"error": {"code": "conflict", "detail": "it is over", "retryable": False}})
        elif "broken" in self.path:
            self.say(503, None)
        elif "moved" in self.path:
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
        else:
            self.say(200, {"data": {"sessions": [], "session": {"id": "x"}, "streams": []}})

    def say(self, status: int, body: Any) -> None:
        data = b"<html>" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


class RestTest(unittest.TestCase):
    def setUp(self) -> None:
        Server.seen = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.rest = rtms.Rest(f"http://127.0.0.1:{server.server_port}/", "token")

    def test_calls_go_where_the_api_has_them(self) -> None:
        self.rest.sessions(limit=2, status="live")
        self.rest.session("a/b")
        self.rest.transcript("x", "vtt")
        for verb in ("start", "stop", "pause", "resume"):
            getattr(self.rest, verb)("x")
        root = "/api/v1/sdk/sessions"
        paths = [f"{root}?limit=2&status=live", f"{root}/a%2Fb", f"{root}/x/transcript?format=vtt"]
        paths += [f"{root}/x/rtms/{verb}" for verb in ("start", "stop", "pause", "resume")]
        self.assertEqual([path for _, path, _ in Server.seen], paths)
        keys = {key for method, _, key in Server.seen if method == "POST"}
        self.assertEqual(len(keys - {None}), 4, "each request has a key of its own")

    def test_a_refusal_says_what_rtmsd_said(self) -> None:
        with self.assertRaises(rtms.ApiError) as caught:
            self.rest.start("missing")
        self.assertEqual((caught.exception.status, caught.exception.code, caught.exception.retryable), (409, "conflict", False))
        self.assertIn("it is over", str(caught.exception))
        with self.assertRaises(rtms.ApiError) as caught:
            self.rest.session("broken")
        self.assertEqual((caught.exception.status, caught.exception.retryable), (503, True))

    def test_the_token_follows_no_redirect(self) -> None:
        with self.assertRaises(rtms.ApiError) as caught:
            self.rest.session("moved")
        self.assertEqual(caught.exception.status, 302)

    def test_nobody_there_and_nonsense_are_errors(self) -> None:
        with self.assertRaises(rtms.ApiError) as caught:
            rtms.Rest("http://127.0.0.1:1", "token").sessions()
        self.assertEqual((caught.exception.status, caught.exception.retryable), (0, True))
        for url, token in (("ftp://x", "token"), ("http://x", None)):
            with self.assertRaises(ValueError):
                rtms.Rest(url, token)


if __name__ == "__main__":
    unittest.main()
