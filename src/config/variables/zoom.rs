//! Settings of the Zoom apps and of their OAuth.

use super::{Variable, variable};

pub(super) const APP: &[Variable] = &[
    variable("ZOOM_CLIENT_ID", "", "the client id of your Zoom app (App Credentials)").credential()
        .also(&["ZM_RTMS_CLIENT", "ZM_CLIENT_ID", "ZOOM_APP_CLIENT_ID", "CLIENT_ID"])
        .required(),
    variable("ZOOM_CLIENT_SECRET", "", "the client secret of your Zoom app (App Credentials)").secret().credential()
        .also(&["ZM_RTMS_SECRET", "ZM_CLIENT_SECRET", "ZOOM_APP_CLIENT_SECRET", "CLIENT_SECRET"])
        .required(),
    variable(
        "ZOOM_SECRET_TOKEN",
        "",
        "the Secret Token of your Zoom app (Features, Access): it signs webhooks and is not the client secret. While it \
         is being replaced, the new one and the old one, separated by a comma. Required unless ZOOM_EVENTS_URL is set",
    ).secret().credential()
    .also(&[
        "ZM_RTMS_SECRET_TOKEN",
        "ZM_RTMS_WEBHOOK_SECRET",
        "ZOOM_WEBHOOK_SECRET_TOKEN",
        "RTMS_WEBHOOK_SECRET",
    ])
    .required(),
    variable(
        "ZOOM_EVENTS_URL",
        "",
        "the URL of your Zoom app's event subscription over a WebSocket (Features, Access, Event Subscription, method \
         WebSocket), such as wss://ws.zoom.us/ws?subscriptionId=…: events come without a public URL, beside webhooks or \
         instead of them. Its host must be one of RTMS_ALLOWED_HOSTS; ws:// needs RTMS_ALLOW_WS and a loopback host. \
         See docs/events.md",
    ).url(),
];

pub(super) const VIDEO_SDK: &[Variable] = &[
    variable(
        "ZOOM_VIDEO_SDK_KEY",
        "",
        "the SDK key of your Video SDK app. Key, secret and Secret Token are set together or not at all. The app's \
         webhooks go to WEBHOOK_PATH and /video, such as /webhook/video",
    ).credential()
    .also(&["VIDEO_CLIENT_ID"]),
    variable("ZOOM_VIDEO_SDK_SECRET", "", "the SDK secret of your Video SDK app").secret().credential()
        .also(&["VIDEO_CLIENT_SECRET"]),
    variable(
        "ZOOM_VIDEO_SECRET_TOKEN",
        "",
        "the Secret Token of your Video SDK app: it signs that app's webhooks",
    ).secret().credential()
    .also(&["VIDEO_SECRET_TOKEN"]),
    variable(
        "ZOOM_VIDEO_API_KEY",
        "",
        "the Video SDK API key of your account, for starting and stopping Video SDK sessions over REST",
    ).credential(),
    variable(
        "ZOOM_VIDEO_API_SECRET",
        "",
        "the secret of ZOOM_VIDEO_API_KEY: it signs the tokens of those calls",
    ).secret().credential(),
];

pub(super) const FURTHER: &[Variable] = &[
    variable(
        "ZOOM_APPS",
        "",
        "further apps as a JSON array of objects (see docs/apps.md). With it, the three variables of your Zoom app are \
         needed only for an app of their own, which is called default",
    ).secret(),
    variable(
        "ZOOM_APPS_FILE",
        "",
        "a file with the further apps, instead of ZOOM_APPS: JSON, or TOML with tables [[apps]] if its name ends in \
         .toml. rtmsd reads it again on SIGHUP. Only its owner may write it",
    ),
];

pub(super) const EXPERIMENTAL: &[Variable] = &[variable(
    "ZOOM_PHONE",
    "false",
    "EXPERIMENTAL: serve streams of Zoom Phone calls, too. Zoom has announced them and not released them, and what rtmsd \
     knows of their protocol may change. An app of ZOOM_APPS lists phone in its products instead",
)];

pub(super) const INSTALL: &[Variable] = &[
    variable(
        "PUBLIC_URL",
        "",
        "where browsers reach this daemon, such as https://rtms.example.com; by default http://localhost and the port",
    ).url()
    .also(&["SDK_PUBLIC_BASE_URL", "PUBLIC_BASE_URL"]),
    variable(
        "ZOOM_OAUTH_REDIRECT_URL",
        "",
        "the OAuth redirect URL as registered in your Zoom app; by default PUBLIC_URL and /api/v1/zoom/oauth/callback",
    ).url(),
    variable(
        "TOKEN_ENCRYPTION_KEYS",
        "",
        "keys of 32 bytes in hex or base64, separated by commas: the first seals the tokens at rest, all of them open \
         (generate one with: openssl rand -hex 32). Required with Postgres; otherwise the first start generates one in \
         DATA_DIR, in the file token-encryption-key. To set keys later, put that one behind them. To change the key, \
         put a new one in front, restart, and run: rtmsd rotate-keys",
    ).secret()
    .also(&["SDK_TOKEN_ENCRYPTION_KEY", "TOKEN_ENCRYPTION_KEY"]),
    variable(
        "ZOOM_ACCOUNT_ID",
        "",
        "the account for server-to-server OAuth, used for meetings in which nobody has installed the app",
    ).credential(),
    variable(
        "ZOOM_S2S_CLIENT_ID",
        "",
        "the client id of the server-to-server app; by default ZOOM_CLIENT_ID",
    ).credential()
    .also(&["S2S_ZM_CLIENT_ID"]),
    variable(
        "ZOOM_S2S_CLIENT_SECRET",
        "",
        "the client secret of the server-to-server app; by default ZOOM_CLIENT_SECRET",
    ).secret().credential()
    .also(&["S2S_ZM_CLIENT_SECRET"]),
    variable(
        "ZOOM_ACCESS_TOKEN",
        "",
        "a ready access token, as Zoom's samples take it; it expires after an hour and is not refreshed",
    ).secret().credential()
    .also(&["access_token"]),
    variable("ZOOM_API_BASE_URL", "https://api.zoom.us", "the base URL of Zoom's REST API").url(),
    variable("ZOOM_OAUTH_BASE_URL", "https://zoom.us", "the base URL of Zoom's OAuth").url(),
];
