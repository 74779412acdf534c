"""Registration of callbacks, by call or as a decorator."""

from __future__ import annotations

import asyncio
from typing import Any, Callable

from .types import Callback

Registered = tuple[Callable[..., Any] | None, asyncio.AbstractEventLoop | None]


class Callbacks:
    """Each `on_…` registers one callback, replaces the one before, and returns it. It may be a coroutine function.

    `on_…Data` and the other names in camel case are the SDK's.
    """

    def __init__(self) -> None:
        self._callbacks: dict[str, Registered] = {}
        self._muted: set[int] = set()

    def on_join_confirm(self, callback: Callback) -> Callback:
        """`(reason: int)`: 0 when the session was joined, else an `RTMS_SDK_…` code."""
        return self._set("on_join_confirm", callback)

    def on_leave(self, callback: Callback) -> Callback:
        """`(reason: int)`: the session is over, with Zoom's `StopReason`; 0 after `leave()`. The last callback."""
        return self._set("on_leave", callback)

    def on_session_update(self, callback: Callback) -> Callback:
        """`(operation: int, session: Session)`, with a `SESSION_EVENT_…`."""
        return self._set("on_session_update", callback)

    def on_user_update(self, callback: Callback) -> Callback:
        """`(operation: int, participant: Participant)`, with `USER_JOIN` or `USER_LEAVE`."""
        return self._set("on_user_update", callback)

    def on_audio_data(self, callback: Callback) -> Callback:
        """`(data: bytes, size: int, timestamp: int, metadata: Metadata)`."""
        return self._set("on_audio_data", callback)

    def on_video_data(self, callback: Callback) -> Callback:
        """`(data: bytes, size: int, timestamp: int, metadata: Metadata)`."""
        return self._set("on_video_data", callback)

    def on_deskshare_data(self, callback: Callback) -> Callback:
        """`(data: bytes, size: int, timestamp: int, metadata: Metadata)`."""
        return self._set("on_deskshare_data", callback)

    def on_transcript_data(self, callback: Callback) -> Callback:
        """`(data: bytes, size: int, timestamp: int, metadata: Metadata)`; `data` is UTF-8."""
        return self._set("on_transcript_data", callback)

    def on_participant_event(self, callback: Callback) -> Callback:
        """`(event: "join" | "leave", timestamp: int, participants: list[dict])`, with `user_id` and `user_name`."""
        return self._set("on_participant_event", callback)

    def on_active_speaker_event(self, callback: Callback) -> Callback:
        """`(timestamp: int, user_id: int, user_name: str)`."""
        return self._set("on_active_speaker_event", callback)

    def on_sharing_event(self, callback: Callback) -> Callback:
        """`(event: "start" | "stop", timestamp: int, user_id: int | None, user_name: str | None)`."""
        return self._set("on_sharing_event", callback)

    def on_participant_video(self, callback: Callback) -> Callback:
        """`(users: list[int], is_on: bool)`."""
        return self._set("on_participant_video", callback)

    def on_video_subscribed(self, callback: Callback) -> Callback:
        """`(user_id: int, status: int, error: str)`."""
        return self._set("on_video_subscribed", callback)

    def on_media_connection_interrupted(self, callback: Callback) -> Callback:
        """`(timestamp: int)`: rtmsd lost a media link to Zoom and rebuilds it."""
        return self._set("on_media_connection_interrupted", callback)

    def on_event_ex(self, callback: Callback) -> Callback:
        """`(event: str)`: an event in Zoom's JSON."""
        return self._set("on_event_ex", callback)

    # What the SDK does not have

    def on_gap(self, callback: Callback) -> Callback:
        """`(gap: Gap)`: a span in which rtmsd did not get a medium from Zoom, reported when it has ended."""
        return self._set("on_gap", callback)

    def on_dropped(self, callback: Callback) -> Callback:
        """`(medium: str, count: int, where: str)`: frames that Zoom sent and this client did not get.

        `where` is `client` (the callbacks are too slow), `rtmsd` (the network is too slow) or `connection` (they came
        while the client was not connected).
        """
        return self._set("on_dropped", callback)

    def on_chat(self, callback: Callback) -> Callback:
        """`(message: dict)`: a chat message, as in the API's events."""
        return self._set("on_chat", callback)

    def on_entry(self, callback: Callback) -> Callback:
        """`(entry: dict)`: every entry of the session, as in the API's events, with its `cursor`."""
        return self._set("on_entry", callback)

    onJoinConfirm, onLeave = on_join_confirm, on_leave
    onSessionUpdate, onUserUpdate = on_session_update, on_user_update
    onAudioData, onVideoData = on_audio_data, on_video_data
    onDeskshareData, onTranscriptData = on_deskshare_data, on_transcript_data
    onParticipantEvent, onActiveSpeakerEvent = on_participant_event, on_active_speaker_event
    onSharingEvent, onParticipantVideo = on_sharing_event, on_participant_video
    onVideoSubscribed, onEventEx = on_video_subscribed, on_event_ex
    onMediaConnectionInterrupted = on_media_connection_interrupted

    def subscribe_event(self, events: list[int]) -> bool:
        """rtmsd receives all events; this takes back `unsubscribe_event`."""
        self._muted.difference_update(events)
        return True

    def unsubscribe_event(self, events: list[int]) -> bool:
        """The typed callbacks of these events, and `on_event_ex`, are not called with them."""
        self._muted.update(events)
        return True

    subscribeEvent, unsubscribeEvent = subscribe_event, unsubscribe_event

    def _set(self, name: str, callback: Callback) -> Callback:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        is_new = name not in self._callbacks
        self._callbacks[name] = (callback, loop)
        if is_new:
            self._changed()
        return callback

    def _get(self, name: str) -> Registered:
        return self._callbacks.get(name, (None, None))

    def _has(self, name: str) -> bool:
        return name in self._callbacks

    def _changed(self) -> None:
        """Something is wanted that was not wanted before."""
