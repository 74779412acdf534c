//! The table of all settings: names, defaults, help.

/// One setting. A test checks `.env.example` and the README against this table.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    /// Other accepted names, from Zoom's samples, its SDK and MeetMind.
    pub aliases: &'static [&'static str],
    /// The default as it would be written; empty for none.
    pub default: &'static str,
    pub about: &'static str,
}

impl Variable {
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

const fn plain(name: &'static str, default: &'static str, about: &'static str) -> Variable {
    Variable { name, aliases: &[], default, about }
}

const fn aliased(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
    about: &'static str,
) -> Variable {
    Variable { name, aliases, default, about }
}

/// Every setting.
pub const VARIABLES: &[Variable] = &[
    aliased(
        "ZOOM_CLIENT_ID",
        &["ZM_RTMS_CLIENT", "ZM_CLIENT_ID", "ZOOM_APP_CLIENT_ID", "CLIENT_ID"],
        "",
        "the client id of your Zoom app (App Credentials)",
    ),
    aliased(
        "ZOOM_CLIENT_SECRET",
        &["ZM_RTMS_SECRET", "ZM_CLIENT_SECRET", "ZOOM_APP_CLIENT_SECRET", "CLIENT_SECRET"],
        "",
        "the client secret of your Zoom app (App Credentials)",
    ),
    aliased(
        "ZOOM_SECRET_TOKEN",
        &[
            "ZM_RTMS_SECRET_TOKEN",
            "ZM_RTMS_WEBHOOK_SECRET",
            "ZOOM_WEBHOOK_SECRET_TOKEN",
            "RTMS_WEBHOOK_SECRET",
        ],
        "",
        "the Secret Token of your Zoom app (Features, Access): it signs webhooks and is not the client secret",
    ),
    aliased(
        "ZOOM_VIDEO_SDK_KEY",
        &["VIDEO_CLIENT_ID"],
        "",
        "the SDK key of your Video SDK app, for its sessions; its webhooks go to WEBHOOK_PATH and /video",
    ),
    aliased(
        "ZOOM_VIDEO_SDK_SECRET",
        &["VIDEO_CLIENT_SECRET"],
        "",
        "the SDK secret of your Video SDK app",
    ),
    aliased(
        "ZOOM_VIDEO_SECRET_TOKEN",
        &["VIDEO_SECRET_TOKEN"],
        "",
        "the Secret Token of your Video SDK app: it signs its webhooks",
    ),
    plain(
        "API_TOKENS",
        "",
        "who may use the REST API: name:token or name:token:scope+scope (read, control, admin), separated by commas; \
         #installation+installation behind the scopes binds a token to these installations (make a token with: openssl rand -hex 32); needed with Postgres, and without it the first start makes one in \
         DATA_DIR",
    ),
    plain(
        "API_RATE_LIMIT_PER_SECOND",
        "100",
        "how many requests each token may make; more are answered 429",
    ),
    plain(
        "CORS_ALLOWED_ORIGINS",
        "",
        "the pages that may use the API from a browser: exact origins such as https://app.example.com, separated by \
         commas; without it none of another origin",
    ),
    plain(
        "ZOOM_VIDEO_API_KEY",
        "",
        "the Video SDK API key of your account, for starting and stopping Video SDK sessions over REST",
    ),
    plain("ZOOM_VIDEO_API_SECRET", "", "its secret: signs the tokens of those calls"),
    plain("HOST", "0.0.0.0", "the address to listen on"),
    plain(
        "ADMIN_ADDR",
        "",
        "an address and port of its own for health checks, such as 127.0.0.1:3001; rtmsd health asks there then",
    ),
    aliased("PORT", &["ZM_RTMS_PORT", "SERVER_PORT"], "3000", "the port to listen on"),
    aliased(
        "WEBHOOK_PATH",
        &["ZM_RTMS_PATH", "APP_WEBHOOK_PATH"],
        "/webhook",
        "where Zoom sends its webhooks",
    ),
    plain(
        "WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS",
        "300",
        "how far a webhook's timestamp may be from our clock, either way",
    ),
    plain(
        "DATA_DIR",
        "./data",
        "the folder of the embedded SQLite file, of recordings, and of the token and key that the first start makes",
    ),
    aliased(
        "DATABASE_URL",
        &["SDK_DATABASE_URL"],
        "",
        "postgres://user:password@host/database, for production and for more than one daemon; \
         without it the embedded SQLite file is used",
    ),
    aliased(
        "PUBLIC_URL",
        &["SDK_PUBLIC_BASE_URL", "PUBLIC_BASE_URL"],
        "",
        "where browsers reach this daemon, such as https://rtms.example.com; without it http://localhost and the port",
    ),
    plain(
        "ZOOM_OAUTH_REDIRECT_URL",
        "",
        "the OAuth redirect URL as it is registered in your Zoom app; without it PUBLIC_URL and /api/v1/zoom/oauth/callback",
    ),
    aliased(
        "TOKEN_ENCRYPTION_KEYS",
        &["SDK_TOKEN_ENCRYPTION_KEY", "TOKEN_ENCRYPTION_KEY"],
        "",
        "keys of 32 bytes in hex or base64, separated by commas: the first seals the tokens, all of them open \
         (make one with: openssl rand -hex 32); needed with Postgres, and without it the first start makes one in \
         DATA_DIR",
    ),
    plain("ZOOM_API_BASE_URL", "https://api.zoom.us", "where Zoom's REST API is"),
    plain("ZOOM_OAUTH_BASE_URL", "https://zoom.us", "where Zoom's OAuth is"),
    plain(
        "ZOOM_ACCOUNT_ID",
        "",
        "the account for server-to-server OAuth, used where nobody has installed the app",
    ),
    aliased(
        "ZOOM_S2S_CLIENT_ID",
        &["S2S_ZM_CLIENT_ID"],
        "",
        "the client id of the server-to-server app; without it ZOOM_CLIENT_ID",
    ),
    aliased(
        "ZOOM_S2S_CLIENT_SECRET",
        &["S2S_ZM_CLIENT_SECRET"],
        "",
        "the client secret of the server-to-server app; without it ZOOM_CLIENT_SECRET",
    ),
    aliased(
        "ZOOM_ACCESS_TOKEN",
        &["access_token"],
        "",
        "a ready access token, as Zoom's samples take it; it ends after an hour and is not refreshed",
    ),
    plain(
        "MEDIA_PRESET",
        "transcription",
        "what the media settings start from: transcription, audio-only, recording (audio at 48 kHz, video, share as \
         H.264, transcript) or full; their defaults in this list are those of transcription",
    ),
    plain(
        "MEDIA_TYPES",
        "transcript",
        "what to receive: audio, video, share, transcript, chat, separated by commas",
    ),
    plain(
        "MEDIA_TYPES_FLAG",
        "",
        "MEDIA_TYPES as the bit mask of Zoom's samples: a sum of 1 (audio), 2 (video), 4 (share), 8 (transcript), \
         16 (chat), or 32 for all",
    ),
    plain(
        "MEDIA_SOCKET_CONNECTION_MODE",
        "split",
        "split (one socket per medium) or unified (one for all, where Zoom offers it)",
    ),
    plain("AUDIO_CONTENT_TYPE", "raw", "raw or rtp; l16 is raw only"),
    plain("AUDIO_CODEC", "l16", "l16, g711, g722 or opus"),
    plain(
        "AUDIO_SAMPLE_RATE",
        "16000",
        "in Hz: 8000, 16000, 32000 or 48000 with l16, 8000 with g711, 16000 with g722, 48000 with opus",
    ),
    plain("AUDIO_CHANNELS", "mono", "mono, or with l16 and opus stereo"),
    aliased(
        "AUDIO_STREAMS",
        &["AUDIO_STREAM_MODE"],
        "per_participant",
        "mixed (everybody in one) or per_participant (up to three speakers at a time)",
    ),
    aliased(
        "AUDIO_SEND_RATE_MS",
        &["AUDIO_SEND_RATE"],
        "20",
        "how much sound is in one frame: 20, or with l16 up to 1000 in steps of 20",
    ),
    plain("VIDEO_CODEC", "h264", "jpg, png or h264"),
    plain("VIDEO_RESOLUTION", "hd", "sd, hd, fhd or qhd"),
    plain("VIDEO_FPS", "25", "pictures per second: 1 to 5 with jpg and png, 6 to 30 with h264"),
    aliased(
        "VIDEO_SELECT",
        &["VIDEO_STREAM_MODE"],
        "active",
        "whose camera: active (the active speaker's), individual (that of the participant whom a program chooses; also read \
         as pinned) or round_robin (all that are on, in turn)",
    ),
    plain("VIDEO_DWELL_SECONDS", "10", "how long each camera has its turn with round_robin"),
    plain("SHARE_CODEC", "jpg", "jpg, png or h264"),
    plain("SHARE_RESOLUTION", "fhd", "sd, hd, fhd or qhd"),
    plain("SHARE_FPS", "1", "pictures per second: 1 with jpg and png, 2 to 30 with h264"),
    plain(
        "TRANSCRIPT_LANGUAGE",
        "english",
        "the language of the first 30 s, or of everything without TRANSCRIPT_IDENTIFY_LANGUAGE: a name such as german \
         or chinese_simplified, Zoom's number of it, or none",
    ),
    plain(
        "TRANSCRIPT_IDENTIFY_LANGUAGE",
        "true",
        "whether Zoom finds out by itself which language is spoken",
    ),
    plain(
        "RTMS_BUFFER_DATA",
        "true",
        "whether Zoom sends the audio it kept (up to 60 s) before we connected",
    ),
    plain(
        "RECORD",
        "",
        "what becomes files: audio, video, share, transcript, chat, separated by commas; empty or off for nothing. Each \
         medium must also be received (MEDIA_TYPES); a session may say otherwise (media.record)",
    ),
    plain(
        "RECORDINGS_URL",
        "",
        "where recordings go: a folder, file:///folder, s3://bucket/path, gs://bucket/path or az://container/path; \
         without it the folder recordings in DATA_DIR",
    ),
    plain(
        "RECORDINGS_LAYOUT",
        "{date}/{session}/{ordinal}",
        "the folder of each recording, of {date} {time} {product} {meeting} {session} {stream} {ordinal}; or rtms-samples, \
         for the folders and names of Zoom's sample library",
    ),
    plain(
        "RECORDINGS_SPOOL_BYTES",
        "68719476736",
        "how much of the disk (the folder spool in DATA_DIR) recordings may take until they are stored, silence counted \
         as if it were sound; beyond it frames are not recorded, and the ledger says so",
    ),
    plain(
        "RECORDINGS_STREAM_PERCENT",
        "50",
        "how much of RECORDINGS_SPOOL_BYTES one stream may take",
    ),
    plain(
        "RECORDINGS_GROUP_READABLE",
        "false",
        "whether the daemon's group may read what is stored in a folder: files 0640 and folders 0750 instead of 0600 and \
         0700; the spool and everything else in DATA_DIR stay the daemon's own",
    ),
    plain(
        "RTMS_ALLOWED_HOSTS",
        ".zoom.us,.zoom.com",
        "the hosts that server_urls may name: names, or suffixes that begin with a dot, separated by commas",
    ),
    plain(
        "RTMS_HANDSHAKE_ID_KEY",
        "product",
        "under which key handshakes send the id: product (as it came in the webhook), meeting_uuid (for every \
         product), or pairs such as webinar:meeting_uuid, separated by commas",
    ),
    plain("RTMS_ALLOW_WS", "false", "allow plain ws:// to allowed loopback hosts, for simulators"),
    aliased(
        "RTMS_CA_FILE",
        &["ZM_RTMS_CA"],
        "",
        "a PEM file with an extra certificate authority for Zoom's signaling and media servers, and for nothing else",
    ),
    plain(
        "CA_FILE",
        "",
        "a PEM file with an extra certificate authority for every other TLS connection: Zoom's REST API and OAuth, object \
         stores, an https:// proxy, NATS, forwards and outgoing webhooks; Postgres has sslrootcert in DATABASE_URL",
    ),
    aliased(
        "HTTPS_PROXY",
        &["https_proxy"],
        "",
        "http://user:password@host:port or https://…: a proxy that allows CONNECT, for Zoom's REST API, OAuth and \
         WebSockets and for object stores; forwards, outgoing webhooks, NATS, Postgres and loopback go past it",
    ),
    aliased(
        "NO_PROXY",
        &["no_proxy"],
        "",
        "what goes past HTTPS_PROXY, too: domains with all below them, addresses, networks (10.0.0.0/8), each with :port \
         if only that is meant, or *; separated by commas",
    ),
    plain(
        "RTMS_AUTO_START",
        "off",
        "for which meetings Zoom is asked for a stream when they begin: off, all, or the hosts' Zoom user ids, \
         separated by commas; needs the webhook meeting.started",
    ),
    plain(
        "RTMS_AUTO_STOP_AFTER_SECONDS",
        "",
        "how long after its announcement Zoom is asked to stop a stream; empty or 0 for never",
    ),
    plain(
        "RTMS_START_TIMEOUT_SECONDS",
        "30",
        "how long after Zoom's yes to a start its webhook may take; then the session is start_timed_out",
    ),
    plain(
        "RTMS_RESTART_ATTEMPTS",
        "3",
        "how often in a row a stream that ended for a technical reason is asked for again; 0 for never",
    ),
    plain(
        "RTMS_RESTART_AFTER_SECONDS",
        "5",
        "the wait before the first of these; each later one is three times as long",
    ),
    plain(
        "SHUTDOWN_STREAMS",
        "leave",
        "leave (the next start picks the streams up) or close (end them at Zoom's) when the daemon stops",
    ),
    plain("SHUTDOWN_GRACE_SECONDS", "10", "how long a stop may take"),
    plain(
        "ENTRY_BATCH_MS",
        "250",
        "how long an entry may wait to be stored with others; what a SIGKILL can cost",
    ),
    plain(
        "ENTRY_BUFFER_BYTES",
        "67108864",
        "how much may wait in memory while the store is away; beyond it entries are lost, and counted",
    ),
    plain("MAX_STREAMS", "4000", "how many streams this daemon runs at once"),
    plain(
        "TRUSTED_PROXIES",
        "",
        "proxies in front of the daemon, as addresses or networks separated by commas: what they say in Forwarded or \
         X-Forwarded-For is taken for the client's address",
    ),
    plain(
        "MAX_CONNECTIONS",
        "1024",
        "how many HTTP requests are answered at once; a new connection takes the place of a silent or slow one, and requests beyond the limit get 503",
    ),
    plain(
        "MAX_SUBSCRIBERS",
        "512",
        "how many live subscribers there may be; more are refused. A token may take two thirds of them, and an eighth is kept for forwards and tokens with admin",
    ),
    plain(
        "LIVE_BUFFER_BYTES",
        "4194304",
        "how much media may wait for one slow subscriber; beyond it the oldest is dropped, or the subscriber",
    ),
    plain(
        "FORWARD_ALLOWED_HOSTS",
        "",
        "the hosts that sessions may be forwarded to: names, or suffixes that begin with a dot, separated by commas; \
         without it none",
    ),
    plain(
        "FORWARD_ALLOW_WS",
        "false",
        "allow plain ws:// to listed loopback hosts, for servers beside this daemon",
    ),
    plain(
        "RETENTION_ENTRIES",
        "forever",
        "how long what people said and did is kept after a stream's end: forever, 30d, 12h, or zero: live only, \
         never at rest",
    ),
    plain(
        "RETENTION_MEDIA",
        "forever",
        "how long recordings are kept once they are stored: forever, 30d, 12h, or zero: nothing is recorded",
    ),
    aliased(
        "RETENTION_DELIVERIES",
        &["DELIVERY_RETENTION_DAYS"],
        "7d",
        "how long received webhooks are kept: forever, 7d, 12h, or zero: only that they came, for a day",
    ),
    plain(
        "RETENTION_SESSIONS",
        "365d",
        "how long sessions and their streams are kept after their end, with their figures: forever, 365d or 12h; never less \
         than what people said and the recordings of them",
    ),
    plain("RETENTION_AUDIT", "365d", "how long the audit trail is kept: forever, 365d or 12h"),
    plain(
        "NATS_URL",
        "",
        "nats://user:password@host:4222 or tls://…: entries are published to JetStream there; several servers of one cluster are separated by commas; without it nothing is published",
    ),
    plain(
        "NATS_CREDENTIALS",
        "",
        "a credentials file of NATS (a JWT and its key), where the server wants one",
    ),
    plain("NATS_SUBJECT_PREFIX", "rtms", "what every subject begins with"),
    plain("NATS_STREAM", "RTMSD", "the JetStream stream for entries; made if it is missing"),
    plain(
        "NATS_MEDIA",
        "none",
        "whose frames are published, too: audio, video, share, separated by commas, or none",
    ),
    plain(
        "NATS_MEDIA_BUFFER_BYTES",
        "1048576",
        "what may wait of each stream's frames while the broker is away or slow; beyond it the oldest are dropped",
    ),
    plain(
        "WEBHOOKS_OUT",
        "",
        "endpoints of outgoing webhooks, as JSON: an array of objects with name, url, secret (whsec_…) and, if wanted, \
         events and previous_secret; more can be made over the API",
    ),
    plain(
        "WEBHOOKS_ALLOWED_HOSTS",
        "",
        "hosts, addresses and networks (10.0.0.0/8) that outgoing webhooks may go to although they are private or plain \
         http, separated by commas",
    ),
    aliased("LOG_LEVEL", &["ZM_RTMS_LOG_LEVEL"], "info", "trace, debug, info, warn, error or off"),
    aliased(
        "LOG_FORMAT",
        &["ZM_RTMS_LOG_FORMAT"],
        "auto",
        "text, json, or auto: text on a terminal and json otherwise",
    ),
    plain("RUST_LOG", "", "a filter by module, such as info,rtmsd=debug; wins over LOG_LEVEL"),
];

/// A setting by its name.
///
/// # Panics
/// When the table does not list it; a test reads every setting.
pub(super) fn variable(name: &str) -> &'static Variable {
    VARIABLES.iter().find(|variable| variable.name == name).expect("every setting is in the table")
}
