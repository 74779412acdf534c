"""From rtmsd's entries and frames to the SDK's callbacks. Pure: no socket, no clock."""

from __future__ import annotations

import json
from typing import Any

from . import constants as c
from .inbox import Call
from .types import Gap, Metadata, Participant, Session, UserId

Entry = dict[str, Any]

FRAME_CALLBACKS = {"audio": "on_audio_data", "video": "on_video_data", "share": "on_deskshare_data"}
SESSION_EVENTS = {
    "started": c.SESSION_EVENT_ADD,
    "stopped": c.SESSION_EVENT_STOP,
    "paused": c.SESSION_EVENT_PAUSE,
    "resumed": c.SESSION_EVENT_RESUME,
}
EVENT_TYPES = {
    "first_packet": c.EVENT_FIRST_PACKET_TIMESTAMP,
    "active_speaker": c.EVENT_ACTIVE_SPEAKER_CHANGE,
    "participant_joined": c.EVENT_PARTICIPANT_JOIN,
    "participant_left": c.EVENT_PARTICIPANT_LEAVE,
    "sharing_started": c.EVENT_SHARING_START,
    "sharing_stopped": c.EVENT_SHARING_STOP,
    "video_on": c.EVENT_PARTICIPANT_VIDEO_ON,
    "video_off": c.EVENT_PARTICIPANT_VIDEO_OFF,
}


def ordinal(entry: Entry) -> int:
    """The number of the entry's stream in its session. `stream` is the older name of `ordinal`."""
    return int(entry["ordinal"] if "ordinal" in entry else entry["stream"])


def calls(entry: Entry, meeting_id: str) -> list[Call]:
    """The callbacks that an entry causes, the special ones first and `on_entry` last."""
    kind = entry.get("kind", "")
    made = _SPECIAL[kind](entry, meeting_id) if kind in _SPECIAL else []
    return [*made, *_raw_event(entry), Call("on_entry", (entry,))]


def frame(head: Entry, payload: bytes) -> Call:
    """The callback of a frame."""
    at_ms = int(head["at_ms"])
    medium = str(head["medium"])
    metadata = Metadata(
        userName=_name(head),
        userId=_user(head),
        startTs=at_ms,
        endTs=at_ms,
        streamId=head.get("stream_id", ""),
        seq=int(head.get("seq", 0)),
        channelId=head.get("channel_id"),
        speakerId=head.get("speaker_id"),
    )
    args = (payload, len(payload), at_ms, metadata)
    return Call(FRAME_CALLBACKS.get(medium, ""), args, medium, len(payload) + 256)


def _name(entry: Entry) -> str:
    return entry.get("user_name") or ""


def _user(entry: Entry) -> UserId:
    user: UserId | None = entry.get("user_id")
    return 0 if user is None else user


def _transcript(entry: Entry, _: str) -> list[Call]:
    data = entry["text"].encode()
    metadata = Metadata(
        userName=_name(entry),
        userId=_user(entry),
        startTs=entry["start_ms"],
        endTs=entry["end_ms"],
        streamId=entry.get("stream_id", ""),
        seq=entry["seq"],
        channelId=entry.get("channel_id"),
        language=entry.get("language"),
    )
    return [Call("on_transcript_data", (data, len(data), entry["at_ms"], metadata))]


def _participant(entry: Entry, _: str) -> list[Call]:
    is_join = entry["kind"] == "participant_joined"
    user, name = _user(entry), _name(entry)
    # The SDK's documentation and its type hints disagree about the names.
    people = [{"user_id": user, "user_name": name, "userId": user, "userName": name}]
    operation = c.USER_JOIN if is_join else c.USER_LEAVE
    return [
        Call("on_participant_event", ("join" if is_join else "leave", entry["at_ms"], people)),
        Call("on_user_update", (operation, Participant(user, name))),
    ]


def _active_speaker(entry: Entry, _: str) -> list[Call]:
    return [Call("on_active_speaker_event", (entry["at_ms"], _user(entry), _name(entry)))]


def _sharing(entry: Entry, _: str) -> list[Call]:
    if entry["kind"] == "sharing_started":
        return [Call("on_sharing_event", ("start", entry["at_ms"], _user(entry), _name(entry)))]
    return [Call("on_sharing_event", ("stop", entry["at_ms"], None, None))]


def _video(entry: Entry, _: str) -> list[Call]:
    return [Call("on_participant_video", ([_user(entry)], entry["kind"] == "video_on"))]


def _video_subscription(entry: Entry, _: str) -> list[Call]:
    error = "" if entry.get("is_subscribed") else "refused"
    return [Call("on_video_subscribed", (_user(entry), entry.get("status_code", 0), error))]


def _link_down(entry: Entry, _: str) -> list[Call]:
    return [] if entry.get("link") == "signaling" else [Call("on_media_connection_interrupted", (entry["at_ms"],))]


def _session_state(entry: Entry, meeting_id: str) -> list[Call]:
    operation = SESSION_EVENTS.get(entry["state"])
    if operation is None:
        return []
    is_paused = operation == c.SESSION_EVENT_PAUSE
    session = Session(
        sessionId=entry["rtms_session_id"],
        streamId=entry.get("stream_id", ""),
        meetingId=meeting_id,
        statTime=entry["at_ms"],
        status=c.SESS_STATUS_PAUSED if is_paused else c.SESS_STATUS_ACTIVE,
        isActive=operation in (c.SESSION_EVENT_ADD, c.SESSION_EVENT_RESUME),
        isPaused=is_paused,
    )
    return [Call("on_session_update", (operation, session))]


def _gap(entry: Entry, _: str) -> list[Call]:
    gap = Gap(entry["medium"], entry["start_ms"], entry["end_ms"], entry["cause"], entry.get("stream_id", ""))
    return [Call("on_gap", (gap,))]


def _chat(entry: Entry, _: str) -> list[Call]:
    return [Call("on_chat", (entry,))]


_SPECIAL = {
    "transcript": _transcript,
    "chat": _chat,
    "participant_joined": _participant,
    "participant_left": _participant,
    "active_speaker": _active_speaker,
    "sharing_started": _sharing,
    "sharing_stopped": _sharing,
    "video_on": _video,
    "video_off": _video,
    "video_subscription": _video_subscription,
    "link_down": _link_down,
    "session_state": _session_state,
    "gap": _gap,
}


def event_type(entry: Entry) -> int | None:
    """Zoom's number of the event that the entry reports."""
    if entry.get("kind") == "contact_center_event":
        code: int | None = entry.get("code")
        return code
    if entry.get("kind") == "link_down":
        return None if entry.get("link") == "signaling" else c.EVENT_MEDIA_CONNECTION_INTERRUPTED
    return EVENT_TYPES.get(entry.get("kind", ""))


def _raw_event(entry: Entry) -> list[Call]:
    number = event_type(entry)
    if number is None:
        return []
    event: dict[str, Any] = {"event_type": number, "timestamp": entry["at_ms"]}
    if entry["kind"] in ("participant_joined", "participant_left", "video_on", "video_off"):
        event["participants"] = [{"user_id": _user(entry), "user_name": _name(entry)}]
    elif entry["kind"] in ("active_speaker", "sharing_started"):
        event |= {"user_id": _user(entry), "user_name": _name(entry)}
    elif entry["kind"] == "contact_center_event":
        event["participant"] = entry.get("participant")
    return [Call("on_event_ex", (json.dumps(event),))]
