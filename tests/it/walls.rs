//! Which module may use which. Read from the source, so that a breach fails here and not in a
//! review.

use std::fs;
use std::path::{Path, PathBuf};

/// A crate, and the modules that may name it.
const CRATES: [(&str, &[&str]); 12] = [
    ("axum", &["http", "simulator"]),
    ("hyper", &["http", "simulator"]),
    ("sqlx", &["store"]),
    (
        "reqwest",
        &["net", "zoom", "sinks/webhooks/client", "simulator", "telemetry/traces", "cli/client"],
    ),
    ("opentelemetry", &["telemetry/traces"]),
    ("object_store", &["sinks/record/target"]),
    (
        "tungstenite",
        &[
            "net",
            "sessions/driver",
            "http/live",
            "http/relay_socket",
            "sinks/live",
            "sinks/relays/socket",
            "simulator",
            "zoom/event_socket",
            "cli/client/live",
        ],
    ),
    ("tokio_rustls", &["net", "simulator"]),
    ("async_nats", &["sinks/nats"]),
    ("clap", &["main", "cli", "simulator/command"]),
    ("prometheus", &["metrics"]),
    ("procfs", &["metrics"]),
];

/// Modules without sockets, clock or dice: time and randomness are arguments there.
const PURE: &[&str] = &[
    "capture/block",
    "capture/body",
    "capture/event",
    "capture/redact",
    "simulator/replay/plan",
    "json",
    "http/range",
    "hub/times",
    "sinks/record/layout",
    "net/proxy",
    "net/public_addr",
    "net/retry_after",
    "net/websocket/decoder",
    "net/websocket/encoder",
    "sinks/webhooks/address",
    "sinks/webhooks/body",
    "sinks/webhooks/schedule",
    "sinks/webhooks/signature",
    "sinks/record/track/order",
    "sinks/record/track/wav/format",
    "sinks/record/track/ogg/packet",
    "sinks/record/track/ogg/page",
    "sinks/record/track/mp4/annexb",
    "sinks/record/track/mp4/boxes",
    "sinks/record/track/mp4/sps",
    "sinks/record/track/mp4/meeting/black",
    "sinks/record/track/mp4/meeting/cut",
    "sinks/record/track/mp4/meeting/flac",
    "sinks/record/track/mp4/meeting/movie",
    "sinks/record/track/mp4/meeting/table",
    "sinks/record/track/mp4/meeting/text",
    "sinks/live/request",
    "sinks/relays/gaps",
    "sinks/relays/request",
    "sinks/relays/wire",
    "sinks/forward/target",
    "sinks/live/wire",
    "sinks/live/twilio",
    "zoom/state",
    "zoom/oauth/answer",
    "model",
    "secret",
    "zoom/signature",
    "zoom/event",
    "zoom/manifest",
    "zoom/scopes",
    "zoom/error",
    "zoom/event_socket/message",
    "zoom/retry",
    "control/policy",
    "control/timeline",
    "doctor/judge",
    "doctor/report",
    "cli/doctor/table",
    "sessions/placement",
    "sinks/message",
    "rtms",
];
const IMPURE: [&str; 9] = [
    "tokio",
    "axum",
    "sqlx",
    "reqwest",
    "Instant::now",
    "SystemTime",
    "rand::random",
    "std::fs",
    "std::net::Tcp",
];

/// A module, and those of ours that it must not name: arrows never point up.
const ARROWS: [(&str, &[&str]); 16] = [
    (
        "capture",
        &[
            "app",
            "cli",
            "clock",
            "config",
            "control",
            "http",
            "hub",
            "metrics",
            "net",
            "sessions",
            "simulator",
            "sinks",
            "store",
            "transcript",
            "web",
            "zoom",
        ],
    ),
    ("transcript", &["app", "cli", "http", "hub", "sessions", "simulator", "sinks", "zoom"]),
    (
        "net",
        &[
            "app",
            "cli",
            "config",
            "control",
            "http",
            "hub",
            "metrics",
            "model",
            "rtms",
            "sessions",
            "simulator",
            "sinks",
            "store",
            "transcript",
            "web",
            "zoom",
        ],
    ),
    (
        "model",
        &["app", "cli", "http", "hub", "metrics", "rtms", "sessions", "simulator", "store", "zoom"],
    ),
    (
        "rtms",
        &[
            "app",
            "cli",
            "clock",
            "config",
            "control",
            "http",
            "hub",
            "metrics",
            "net",
            "rate",
            "sessions",
            "simulator",
            "sinks",
            "store",
            "tls",
            "transcript",
            "web",
            "zoom",
        ],
    ),
    (
        "metrics",
        &[
            "app",
            "cli",
            "clock",
            "config",
            "control",
            "http",
            "hub",
            "net",
            "sessions",
            "simulator",
            "sinks",
            "store",
            "transcript",
            "web",
            "zoom",
        ],
    ),
    ("zoom", &["app", "cli", "http", "hub", "sessions", "simulator"]),
    ("store", &["app", "cli", "http", "hub", "rtms", "sessions", "simulator"]),
    ("hub", &["app", "cli", "http", "sessions", "simulator", "zoom"]),
    ("sessions", &["app", "cli", "http", "simulator"]),
    ("control", &["app", "cli", "events", "http", "hub", "sessions", "simulator"]),
    (
        "doctor",
        &["app", "cli", "config", "control", "events", "http", "hub", "sessions", "simulator"],
    ),
    ("events", &["app", "cli", "config", "http", "hub", "sessions", "simulator", "sinks"]),
    ("http", &["app", "cli", "rtms", "simulator"]),
    ("sinks", &["app", "cli", "config", "http", "sessions", "simulator"]),
    ("simulator", &["app", "cli", "config", "http", "hub", "sessions", "store", "zoom"]),
];

/// The modules that answer HTTP requests. Only the table of routes names them: what two of them need is a module of its own.
const HANDLERS: [&str; 24] = [
    "apps",
    "audit_rows",
    "control",
    "docs",
    "doctor",
    "events",
    "forwards",
    "home",
    "installations",
    "ledger",
    "live",
    "metrics",
    "new_ticket",
    "notices",
    "oauth",
    "ops",
    "recordings",
    "relay_socket",
    "relays",
    "sessions",
    "transcript",
    "video",
    "webhook",
    "webhook_endpoints",
];

#[test]
fn a_crate_is_named_only_where_it_belongs() {
    let mut breaches = Vec::new();
    for (file, code) in sources() {
        for (name, homes) in CRATES {
            let is_named = [format!("{name}::"), format!("use {name};")]
                .iter()
                .any(|form| mentions(&code, form));
            if is_named && !homes.iter().any(|home| is_in(&file, home)) {
                breaches.push(format!("{} names {name}", file.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn a_pure_module_uses_no_socket_clock_or_randomness() {
    let mut breaches = Vec::new();
    for (file, code) in sources().filter(|(file, _)| PURE.iter().any(|pure| is_in(file, pure))) {
        for name in IMPURE.iter().filter(|name| mentions(&code, name)) {
            breaches.push(format!("{} names {name}", file.display()));
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn arrows_between_modules_never_point_up() {
    let mut breaches = Vec::new();
    for (file, code) in sources() {
        for (module, above) in ARROWS.iter().filter(|(module, _)| is_in(&file, module)) {
            for name in above.iter().filter(|name| mentions(&code, &format!("crate::{name}::"))) {
                breaches.push(format!("{} ({module}) names {name}", file.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// What a program with its own sockets needs of the library.
#[test]
fn the_example_of_the_library_names_nothing_of_the_daemon() {
    const SURFACE: [&str; 5] = ["model", "rtms", "secret", "zoom::event", "zoom::signature"];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own_sockets.rs");
    let text = fs::read_to_string(path).expect("the example can be read");
    let code = code(&text);
    let named: Vec<&str> = code.split("rtmsd::").skip(1).collect();
    assert!(named.len() > 5, "{code}");
    for name in named {
        assert!(SURFACE.iter().any(|module| name.starts_with(module)), "rtmsd::{name}");
    }
}

#[test]
fn only_the_routes_name_an_http_handler() {
    let mut breaches = Vec::new();
    let is_checked = |file: &Path| file.starts_with("http") && !is_in(file, "http/routes");
    for (file, code) in sources().filter(|(file, _)| is_checked(file)) {
        let imports = imports_of_http(&code);
        let others = HANDLERS.iter().filter(|name| !is_in(&file, &format!("http/{name}")));
        for name in others.filter(|name| imports.contains(name)) {
            breaches.push(format!("{} names {name}", file.display()));
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// The names behind `super::` and `crate::http::`, alone or in braces.
fn imports_of_http(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let is_end = |c: char| !(c.is_alphanumeric() || c == '_');
    for start in ["super::", "crate::http::"] {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(list) => names.extend(list.split('}').next().unwrap_or(list).split(is_end)),
                None => names.extend(rest.split(is_end).next()),
            }
        }
    }
    names
}

#[test]
fn every_module_that_the_walls_name_exists() {
    let files: Vec<PathBuf> = sources().map(|(file, _)| file).collect();
    let modules = PURE.iter().chain(ARROWS.iter().map(|(module, _)| module));
    for module in modules {
        assert!(files.iter().any(|file| is_in(file, module)), "there is no module {module}");
    }
}

/// What the README and the guarantees name as proof of what they promise.
#[test]
fn every_proof_that_the_documents_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut proofs = proofs_of(&root.join("README.md"), "## What it promises");
    assert_eq!(proofs.len(), 5);
    proofs.extend(proofs_of(&root.join("docs/guarantees.md"), "## When things break"));
    for heading in ["## From the network", "## From Zoom's side", "## Between daemons"] {
        proofs.extend(proofs_of(&root.join("docs/attacks.md"), heading));
    }
    let names = proofs.iter().flat_map(|proof| proof.split('`').skip(1).step_by(2));
    let mut files = Vec::new();
    collect_all(&root.join("src"), &mut files);
    collect_all(&root.join("tests"), &mut files);
    let code: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let missing: Vec<&str> = names
        .filter(|name| !code.contains(&format!("fn {name}(")) && !root.join(name).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(proofs.len() > 50, "{proofs:#?}");
}

/// The last cell of each row of the first table under a heading.
fn proofs_of(document: &Path, heading: &str) -> Vec<String> {
    let text = fs::read_to_string(document).expect("the document can be read");
    let (_, table) = text.split_once(heading).expect("its section");
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.rsplit('|').nth(1)).map(str::to_owned).collect()
}

/// Every source file with its code, without comments and without its tests.
fn sources() -> impl Iterator<Item = (PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.into_iter().map(move |path| {
        let text = fs::read_to_string(&path).expect("a source file can be read");
        let file = path.strip_prefix(&root).expect("it is under src").to_owned();
        (file, code(&text))
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    collect_all(folder, files);
    files.retain(|path| !is_test(path));
}

fn collect_all(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect_all(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    shipped
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|l| format!("{l}\n"))
        .collect()
}

/// In the file of this name or in the folder beside it.
fn is_in(file: &Path, module: &str) -> bool {
    file.with_extension("") == Path::new(module) || file.starts_with(module)
}

/// Whether a name stands in the code and is not the end of a longer one.
fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' && name != "tungstenite::")
    })
}
