//! Settings of the ways out: live subscribers, recordings, NATS, outgoing webhooks.

use super::{Variable, variable};

pub(super) const LIVE: &[Variable] = &[
    variable(
        "MAX_SUBSCRIBERS",
        "512",
        "the most live subscribers; further ones are refused. It must not exceed three quarters of MAX_CONNECTIONS, to \
         which the default is lowered. An eighth is kept for forwards and tokens with admin; a token, and all tokens and \
         forwards of one of several Zoom apps, may take three quarters of the rest",
    ),
    variable(
        "LIVE_BUFFER_BYTES",
        "4194304",
        "the most bytes of media queued for one slow subscriber; beyond it the oldest frames are dropped, or the \
         subscriber is disconnected",
    ),
    variable(
        "FORWARD_ALLOWED_HOSTS",
        "",
        "the hosts that sessions may be forwarded to: names, or suffixes that begin with a dot, separated by commas; \
         empty for none. A suffix leads to public addresses only",
    ),
    variable(
        "FORWARD_ALLOW_WS",
        "false",
        "allow plain ws:// to listed loopback hosts, for servers beside this daemon",
    ),
];

pub(super) const RECORDINGS: &[Variable] = &[
    variable(
        "RECORD",
        "",
        "what is recorded: audio, video, share, transcript, chat, separated by commas; empty or off for nothing. Each \
         medium must also be received (MEDIA_TYPES); a session can choose differently (media.record). With meeting there \
         is also one film that people play, meeting.mp4: everybody's sound, one picture at a time, the transcript",
    ),
    variable(
        "MEETING_PICTURE",
        "speaker",
        "what meeting.mp4 shows: speaker for the active speaker's camera; screen for the shared screen while there is one \
         (SHARE_CODEC=h264), and the camera otherwise",
    ),
    variable(
        "RECORDINGS_URL",
        "",
        "where recordings are stored: a folder, file:///folder, s3://bucket/path, gs://bucket/path or \
         az://container/path; by default the folder recordings in DATA_DIR. The object store's own variables \
         (AWS_ACCESS_KEY_ID and so on) are read too",
    ).url(),
    variable(
        "RECORDINGS_LAYOUT",
        "{date}/{session}/{ordinal}",
        "the folder of each recording, of {app} {date} {time} {product} {meeting} {session} {stream} {ordinal}; or \
         rtms-samples, for the folders and names of Zoom's sample library",
    ),
    variable(
        "RECORDINGS_SPOOL_BYTES",
        "68719476736",
        "how much of the disk (the folder spool in DATA_DIR) recordings may take until they are stored, silence counted \
         as if it were sound; beyond it frames are not recorded, and the ledger says so",
    ),
    variable(
        "RECORDINGS_STREAM_PERCENT",
        "50",
        "how much of RECORDINGS_SPOOL_BYTES one stream may take",
    ),
    variable(
        "RECORDINGS_GROUP_READABLE",
        "false",
        "whether the daemon's group may read what is stored in a folder: files 0640 and folders 0750 instead of 0600 and \
         0700. The spool and everything else in DATA_DIR stay private to the daemon",
    ),
];

pub(super) const CAPTURE: &[Variable] = &[
    variable(
        "CAPTURE",
        "off",
        "what is kept of the messages between Zoom and the daemon, as one file a stream beside its recording: off; \
         signaling for everything but what people said, wrote, showed and are called; or all. Secrets are never in it. A \
         session can choose differently (media.capture)",
    ),
    variable(
        "CAPTURE_BYTES",
        "67108864",
        "the most bytes of one stream's capture; what is beyond is left out, and the file says so",
    ),
];

pub(super) const NATS: &[Variable] = &[
    variable(
        "NATS_URL",
        "",
        "nats://user:password@host:4222 or tls://…: entries are published to JetStream there. Several servers of one \
         cluster are separated by commas. Without it nothing is published",
    ).url(),
    variable(
        "NATS_CREDENTIALS",
        "",
        "a credentials file of NATS (a JWT and its key), for servers that require one",
    ),
    variable(
        "NATS_SUBJECT_PREFIX",
        "rtms",
        "the first part of every subject, or several separated by dots; {app} as a part stands for the name of the Zoom app",
    ),
    variable("NATS_STREAM", "RTMSD", "the JetStream stream for entries; created if it is missing"),
    variable(
        "NATS_MEDIA",
        "none",
        "the media that are published as frames, too: audio, video, share, separated by commas, or none",
    ),
    variable(
        "NATS_MEDIA_BUFFER_BYTES",
        "1048576",
        "the most bytes of each stream's frames queued while the broker is unavailable or slow; beyond it the oldest are \
         dropped",
    ),
];

pub(super) const RELAYS: &[Variable] = &[
    variable(
        "RTMS_RELAYS",
        "",
        "programs that streams are served on to in Zoom's own protocol, as JSON: [{\"name\": \"notes\", \"webhook_url\": \
         \"https://notes.example.com/zoom\", \"client_id\": \"...\", \"client_secret\": \"...\", \"secret_token\": \
         \"...\"}]. media, product, host_ids, metadata, apps and catch_up are optional. WEBHOOKS_ALLOWED_HOSTS decides \
         about private and plain http URLs. The API can create more",
    ).secret(),
    variable(
        "RELAY_PUBLIC_URL",
        "",
        "the address under which those programs reach /relay/ of this daemon: wss://rtmsd.example.com. By default \
         PUBLIC_URL with wss for https and ws for http. Each of several daemons needs its own",
    ).url(),
    variable(
        "RELAY_BUFFER_BYTES",
        "4194304",
        "the most bytes of each medium that wait for one such program; beyond it the program loses the oldest frames",
    ),
];

pub(super) const WEBHOOKS: &[Variable] = &[
    variable(
        "WEBHOOKS_OUT",
        "",
        "endpoints of outgoing webhooks, as JSON: [{\"name\": \"crm\", \"url\": \"https://crm.example.com/hook\", \
         \"events\": [\"session.ended\"], \"secret\": \"whsec_...\"}]. Without events an endpoint gets all of them, and \
         without apps those of all Zoom apps; previous_secret signs, too. The API can create more",
    ).secret(),
    variable(
        "WEBHOOKS_ALLOWED_HOSTS",
        "",
        "the hosts, addresses and networks (10.0.0.0/8) that outgoing webhooks, and those of relays, may reach although \
         they are private or plain http, separated by commas",
    ),
];
