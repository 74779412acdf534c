//! Settings of the daemon itself: API, HTTP, store, network, logs.

use super::{Variable, variable};

pub(super) const API: &[Variable] = &[
    variable(
        "API_TOKENS",
        "",
        "the tokens of the REST API: name:token or name:token:scope+scope (read, control, admin, metrics), separated by commas. \
         #installation+installation behind the scopes binds a token to the installations with these ids: it uses and \
         sees no other; @app+app behind them limits it to these Zoom apps: it sees and uses nothing of another. A token has 16 characters or more (generate one with: openssl rand -hex 32). Required with \
         Postgres; otherwise the first start generates one with all scopes in DATA_DIR, in the file api-token",
    ).secret(),
    variable(
        "API_RATE_LIMIT_PER_SECOND",
        "100",
        "the most requests per second for each token; further requests get 429",
    ),
    variable(
        "API_RATE_LIMIT_PER_SECOND_PER_APP",
        "",
        "the most requests per second for all tokens together that are limited to one Zoom app (@app); empty for no limit \
         but that of each token",
    ),
    variable(
        "CORS_ALLOWED_ORIGINS",
        "",
        "the pages that may use the API from a browser: exact origins such as https://app.example.com, separated by \
         commas; empty allows no other origin",
    ),
];

pub(super) const DASHBOARD: &[Variable] = &[
    variable(
        "DASHBOARD",
        "on",
        "on or off: pages for people at /, which they open with an API token; the scopes of the token decide what they \
         show and what can be pressed",
    ),
    variable(
        "DASHBOARD_IDLE_SECONDS",
        "43200",
        "how long a browser stays signed in without being used",
    ),
    variable(
        "DASHBOARD_LONGEST_SECONDS",
        "604800",
        "how long a browser stays signed in at most; it is signed out earlier when its token is removed or changed",
    ),
];

pub(super) const HTTP: &[Variable] = &[
    variable("HOST", "0.0.0.0", "the address to listen on"),
    variable("PORT", "3000", "the port to listen on").also(&["ZM_RTMS_PORT", "SERVER_PORT"]),
    variable(
        "ADMIN_ADDR",
        "",
        "a separate address and port for health checks, such as 127.0.0.1:3001: it answers /health/live and \
         /health/ready however busy the main port is, and rtmsd health asks there",
    ),
    variable(
        "METRICS_ADDR",
        "",
        "a separate address and port for metrics, such as 127.0.0.1:9464: it answers /metrics in Prometheus' text format \
         to everybody who can reach it. On the main port a token with the scope metrics reads them",
    ),
    variable("WEBHOOK_PATH", "/webhook", "the path for Zoom's webhooks")
        .also(&["ZM_RTMS_PATH", "APP_WEBHOOK_PATH"]),
    variable(
        "WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS",
        "300",
        "how far a webhook's timestamp may be from our clock, either way",
    ),
    variable(
        "MAX_CONNECTIONS",
        "1024",
        "the most HTTP requests answered at once, half of them downloads; further requests get 503, and silent or slow \
         connections are closed for new ones. Webhooks and health checks have slots beyond these",
    ),
    variable(
        "TRUSTED_PROXIES",
        "",
        "proxies in front of the daemon, as addresses or networks (10.0.0.0/8) separated by commas. The client's \
         address is taken from the header that they write (FORWARDED_HEADER), for the log, the audit trail and limits \
         by address",
    ),
    variable(
        "FORWARDED_HEADER",
        "x-forwarded-for",
        "the header in which trusted proxies name the client: x-forwarded-for or forwarded (RFC 7239). The other one is \
         ignored, because a proxy that does not write it passes what the client wrote",
    ),
    variable(
        "SHUTDOWN_STREAMS",
        "leave",
        "what happens to streams when the daemon stops: leave (the next start picks them up inside Zoom's windows) or \
         close (they end at Zoom)",
    ),
    variable(
        "SHUTDOWN_GRACE_SECONDS",
        "10",
        "how long streams, and then open connections, may take to end when the daemon stops; the last steps, about a \
         minute at most, come on top",
    ),
];

pub(super) const STORE: &[Variable] = &[
    variable(
        "DATA_DIR",
        "./data",
        "the folder of the embedded SQLite file, of recordings, and of the token and key that the first start generates",
    ),
    variable(
        "DATABASE_URL",
        "",
        "postgres://user:password@host/database, for production and for more than one daemon. An @, /, # or ? in the \
         password is percent-encoded (%40, %2F, %23, %3F). Without it the embedded SQLite file is used",
    ).url()
    .also(&["SDK_DATABASE_URL"]),
    variable(
        "ENTRY_BATCH_MS",
        "250",
        "how long an entry may wait to be stored with others; a SIGKILL can lose as much",
    ),
    variable(
        "ENTRY_BUFFER_BYTES",
        "67108864",
        "the most bytes queued in memory while the store is unavailable; further entries are dropped and counted",
    ),
    variable(
        "RETENTION_ENTRIES",
        "forever",
        "how long what people said and did is kept after a stream's end: forever, 30d, 12h, or zero: live only, never \
         stored",
    ),
    variable(
        "RETENTION_MEDIA",
        "forever",
        "how long stored recordings are kept: forever, 30d, 12h, or zero: nothing is recorded",
    ),
    variable(
        "RETENTION_DELIVERIES",
        "7d",
        "how long received webhooks, and the log of outgoing ones, are kept: forever, 7d, 12h (at least 2h), or zero: for \
         a day, and of received ones only that they came",
    )
    .also(&["DELIVERY_RETENTION_DAYS"]),
    variable(
        "RETENTION_SESSIONS",
        "365d",
        "how long sessions and their streams (ids, figures, metadata) are kept after their last change: forever, 365d \
         or 12h; never less than the entries and recordings of them",
    ),
    variable("RETENTION_AUDIT", "365d", "how long the audit trail is kept: forever, 365d or 12h"),
];

pub(super) const NETWORK: &[Variable] = &[
    variable(
        "RTMS_ALLOWED_HOSTS",
        ".zoom.us,.zoom.com",
        "the hosts that server_urls may name: names, or suffixes that begin with a dot, separated by commas",
    ),
    variable("RTMS_ALLOW_WS", "false", "allow plain ws:// to allowed loopback hosts, for simulators"),
    variable(
        "RTMS_CA_FILE",
        "",
        "a PEM file with an extra certificate authority for Zoom's signaling and media servers, and for nothing else",
    )
    .also(&["ZM_RTMS_CA"]),
    variable(
        "CA_FILE",
        "",
        "a PEM file with an extra certificate authority for every other TLS connection: Zoom's REST API, OAuth and event \
         socket, traces, object stores, an https:// proxy, NATS, forwards and outgoing webhooks; Postgres has sslrootcert in \
         DATABASE_URL",
    ),
    variable(
        "HTTPS_PROXY",
        "",
        "http://user:password@host:port or https://…: a proxy that allows CONNECT, for Zoom's REST API, OAuth and \
         WebSockets and for object stores; forwards, outgoing webhooks, NATS, Postgres and loopback bypass it. An @, / \
         or # in the password is percent-encoded (%40, %2F, %23)",
    ).url()
    .also(&["https_proxy"]),
    variable(
        "NO_PROXY",
        "",
        "hosts that also bypass HTTPS_PROXY: domains (with their subdomains), addresses and networks (10.0.0.0/8), each \
         with an optional :port, or * for all; separated by commas",
    )
    .also(&["no_proxy"]),
];

pub(super) const LOGS: &[Variable] = &[
    variable("LOG_LEVEL", "info", "what is logged: trace, debug, info, warn, error or off")
        .also(&["ZM_RTMS_LOG_LEVEL"]),
    variable(
        "LOG_FORMAT",
        "auto",
        "the form of the log: text, json, or auto (text on a terminal and json otherwise)",
    )
    .also(&["ZM_RTMS_LOG_FORMAT"]),
    variable(
        "RUST_LOG",
        "",
        "a filter by module, such as info,rtmsd=debug; it takes precedence over LOG_LEVEL",
    ),
];

pub(super) const TRACES: &[Variable] = &[
    variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "where traces are sent, such as http://localhost:4318: OTLP, Protobuf over HTTP, below /v1/traces. Unset, nothing \
         is traced. Needs a build with the feature otel, as the image is (see docs/logs.md)",
    ).url(),
    variable(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "",
        "the whole URL for traces, instead of OTEL_EXPORTER_OTLP_ENDPOINT",
    ).url(),
    variable(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "",
        "headers for the receiver, such as authorization=Bearer%20..., separated by commas",
    ).secret(),
    variable(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "10000",
        "the longest time of a request to the receiver, in milliseconds",
    ),
    variable("OTEL_SERVICE_NAME", "rtmsd", "the name of this daemon in traces"),
    variable(
        "OTEL_RESOURCE_ATTRIBUTES",
        "",
        "what every trace says of this daemon, such as deployment.environment.name=staging, separated by commas",
    ),
    variable(
        "OTEL_TRACES_SAMPLER",
        "parentbased_always_on",
        "which traces are sent: always_on, always_off, traceidratio, or the same after parentbased_, which leaves the \
         traces of callers to them",
    ),
    variable("OTEL_TRACES_SAMPLER_ARG", "", "the share of traceidratio, from 0 to 1"),
    variable("OTEL_SDK_DISABLED", "false", "send no traces, whatever the other variables say"),
];
