//! Settings of streams: media, control, limits.

use super::{Variable, variable};

pub(super) const STREAMS: &[Variable] = &[
    variable("MAX_STREAMS", "4000", "how many streams this daemon runs at once"),
    variable(
        "MAX_CPU_PERCENT",
        "90",
        "from which share of the machine's CPU time on, over the last seconds, new streams are left to another daemon. If \
         none has room, a start by the API is refused (503), and streams that Zoom starts are taken all the same: 10 to \
         99, or 100 for no limit",
    ),
    variable(
        "MAX_STREAMS_PER_APP",
        "",
        "how many streams of one Zoom app this daemon runs at once; further ones wait until one ends or another daemon \
         has room. Empty for no limit but MAX_STREAMS",
    ),
    variable(
        "STREAM_THREADS",
        "",
        "how many threads drive streams. New streams go to the first thread that has fewer than 400 and is busy for less \
         than about a quarter of the time; a stream stays on its thread. Connections are opened on further threads. Empty \
         for one for each core",
    ),
    variable(
        "STREAM_PAUSE_MS",
        "2",
        "how long a thread that drives many streams waits to handle messages together, which saves a third of its CPU \
         time and delays each message by so much at most: 0 (never) to 20. The wait is halved while any of the \
         thread's streams has a live consumer",
    ),
    variable(
        "RTMS_BUFFER_DATA",
        "true",
        "whether Zoom sends the audio that it kept (up to 60 s) before we connected",
    ),
    variable(
        "RTMS_HANDSHAKE_ID_KEY",
        "product",
        "the key under which handshakes send the id: product (as it came in the webhook), meeting_uuid (for every \
         product), or pairs such as webinar:meeting_uuid, separated by commas",
    ),
];

pub(super) const MEDIA: &[Variable] = &[
    variable(
        "MEDIA_PRESET",
        "transcription",
        "what the media settings start from: transcription, audio-only, recording (audio at 48 kHz, video, share as \
         H.264, transcript) or full. A setting that is written out takes precedence over the preset; the defaults below \
         are those of transcription. Settings that contradict each other are refused at the start",
    ),
    variable(
        "MEDIA_TYPES",
        "transcript",
        "what to receive: audio, video, share, transcript, chat, separated by commas",
    ),
    variable(
        "MEDIA_TYPES_FLAG",
        "",
        "MEDIA_TYPES as the bit mask of Zoom's samples: a sum of 1 (audio), 2 (video), 4 (share), 8 (transcript), \
         16 (chat), or 32 for all",
    ),
    variable(
        "MEDIA_SOCKET_CONNECTION_MODE",
        "split",
        "the sockets of a stream: split (one for each medium) or unified (one for all, where Zoom offers it)",
    ),
    variable("AUDIO_CONTENT_TYPE", "raw", "the packaging of audio: raw or rtp; l16 is raw only"),
    variable(
        "AUDIO_CODEC",
        "l16",
        "the codec of audio: l16 (any rate), opus (48000 Hz, 20 ms), g711 (8000 Hz, mono, 20 ms) or g722 (16000 Hz, \
         mono, 20 ms)",
    ),
    variable(
        "AUDIO_SAMPLE_RATE",
        "16000",
        "in Hz: 8000, 16000, 32000 or 48000 with l16, 8000 with g711, 16000 with g722, 48000 with opus",
    ),
    variable("AUDIO_CHANNELS", "mono", "the channels of audio: mono, or with l16 and opus stereo"),
    variable(
        "AUDIO_STREAMS",
        "per_participant",
        "how voices arrive: mixed (everybody in one) or per_participant (up to three speakers at a time)",
    )
    .also(&["AUDIO_STREAM_MODE"]),
    variable(
        "AUDIO_SEND_RATE_MS",
        "20",
        "how much sound is in one frame, in ms: 20, or with l16 up to 1000 in steps of 20",
    )
    .also(&["AUDIO_SEND_RATE"]),
    variable("VIDEO_CODEC", "h264", "the codec of video: jpg, png or h264"),
    variable("VIDEO_RESOLUTION", "hd", "the size of video: sd, hd, fhd or qhd"),
    variable("VIDEO_FPS", "25", "pictures per second: 1 to 5 with jpg and png, 6 to 30 with h264"),
    variable(
        "VIDEO_SELECT",
        "active",
        "which cameras: active (the active speaker's), individual (that of the participant chosen with POST \
         /api/v1/sdk/sessions/{id}/video/subscribe or by a program behind a relay; also read as pinned) or round_robin \
         (all that are on, in turn)",
    )
    .also(&["VIDEO_STREAM_MODE"]),
    variable("VIDEO_DWELL_SECONDS", "10", "how long each camera has its turn with round_robin"),
    variable("SHARE_CODEC", "jpg", "the codec of the shared screen: jpg, png or h264"),
    variable("SHARE_RESOLUTION", "fhd", "the size of the shared screen: sd, hd, fhd or qhd"),
    variable("SHARE_FPS", "1", "pictures per second: 1 with jpg and png, 2 to 30 with h264"),
    variable(
        "TRANSCRIPT_LANGUAGE",
        "english",
        "the language of the first 30 s, or of everything without TRANSCRIPT_IDENTIFY_LANGUAGE: a name such as german \
         or chinese_simplified, Zoom's number of it, or none",
    ),
    variable(
        "TRANSCRIPT_IDENTIFY_LANGUAGE",
        "true",
        "whether Zoom identifies the spoken language by itself",
    ),
];

pub(super) const CONTROL: &[Variable] = &[
    variable(
        "RTMS_AUTO_START",
        "off",
        "the meetings for which the daemon requests a stream when they begin: off, all, or the hosts' Zoom user ids, \
         separated by commas; needs the webhook meeting.started",
    ),
    variable(
        "RTMS_AUTO_STOP_AFTER_SECONDS",
        "",
        "how long after its announcement the daemon asks Zoom to stop a stream; empty or 0 for never",
    ),
    variable(
        "RTMS_START_TIMEOUT_SECONDS",
        "30",
        "how long the webhook of a stream may take after Zoom accepted its start; then the session is start_timed_out",
    ),
    variable(
        "RTMS_RESTART_ATTEMPTS",
        "3",
        "how often in a row a stream that ended for a technical reason is requested again; 0 for never",
    ),
    variable(
        "RTMS_RESTART_AFTER_SECONDS",
        "5",
        "the wait before the first of these attempts; each later wait is three times as long",
    ),
    variable(
        "RTMS_STREAMS_PER_MEETING",
        "all",
        "the streams of a meeting that are joined when several users bring the app, which gives one for each: all, first \
         (none while an earlier one of another user has not ended) or host (the host's; all while the host is unknown)",
    ),
];
