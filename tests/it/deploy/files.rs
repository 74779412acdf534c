//! The files with which rtmsd is run: they parse, name settings that exist, agree with each other, and pin what they fetch.

use std::collections::BTreeSet;

use rtmsd::config::variables;
use serde_json::Value;

use super::python::{run_python, yaml};
use super::text;

const COMPOSE: &str = "deploy/compose.yml";
const VALUES: &str = "deploy/helm/rtmsd/values.yaml";
const VALUES_SCHEMA: &str = "deploy/helm/rtmsd/values.schema.json";
const STATEFULSET: &str = "deploy/helm/rtmsd/templates/statefulset.yaml";
const TEMPLATES: [&str; 8] = [
    "_helpers.tpl",
    "configmap.yaml",
    "ingress.yaml",
    "monitoring.yaml",
    "networkpolicy.yaml",
    "poddisruptionbudget.yaml",
    "service.yaml",
    "statefulset.yaml",
];

/// Whether rtmsd reads a setting of this name.
fn is_ours(name: &str) -> bool {
    variables().any(|variable| variable.names().any(|known| known == name))
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|item| item.as_str().expect("a text")).collect()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn the_files_of_the_workflows_and_of_grafana_parse() {
    let ci = yaml(".github/workflows/ci.yml");
    let steps = ci["jobs"]["test"]["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["run"] == ".ci/run"), "{ci:#}");
    let release = yaml(".github/workflows/release.yml");
    let artefacts = release["jobs"]["artefacts"].to_string();
    for script in ["deploy/release", "deploy/try-package"] {
        assert!(artefacts.contains(script) && super::root().join(script).exists(), "{release:#}");
    }
    assert!(ci["jobs"]["cost"].to_string().contains("--bench load -- --cost"), "{ci:#}");
    let updates = yaml(".github/dependabot.yml");
    assert!(updates["updates"].as_array().expect("a list").len() > 3, "{updates:#}");
    let source = yaml("deploy/grafana/provisioning/datasources/prometheus.yml");
    assert_eq!(source["datasources"][0]["type"], "prometheus");
    let board = yaml("deploy/grafana/provisioning/dashboards/rtmsd.yml");
    assert_eq!(board["providers"][0]["options"]["path"], "/var/lib/grafana/dashboards");
}

#[test]
fn the_settings_that_compose_and_the_chart_name_exist() {
    let (compose, values, schema) = (yaml(COMPOSE), yaml(VALUES), yaml(VALUES_SCHEMA));
    let refused = &schema["properties"]["settings"]["propertyNames"]["not"]["enum"];
    let template = text(STATEFULSET);
    let set_by_the_chart = template.lines().filter_map(|line| {
        let (_, rest) = line.split_once("- {name: ")?;
        rest.split_once(", value:").map(|(name, _)| name)
    });
    let configmap = text("deploy/helm/rtmsd/templates/configmap.yaml");
    let in_the_configmap = configmap
        .split('"')
        .filter(|word| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let mut named = keys(&compose["x-rtmsd"]["environment"]);
    named.extend(keys(&values["settings"]));
    named.extend(strings(refused));
    named.extend(set_by_the_chart);
    named.extend(in_the_configmap);
    let unknown: Vec<_> = named.iter().filter(|name| !is_ours(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(named.len() > 20, "{named:?}");
}

/// Those that compose.yml needs are in the example, and nothing else; the example holds no value of a secret.
#[test]
fn the_example_of_values_is_what_compose_asks_for() {
    let compose = text(COMPOSE);
    let asked: BTreeSet<&str> = compose
        .split("${")
        .skip(1)
        .map(|rest| rest.split([':', '}']).next().expect("a name"))
        .collect();
    let example = text("deploy/compose.env.example");
    let lines = example.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    let lines: Vec<_> = lines.filter(|(name, _)| !name.contains(' ')).collect();
    let offered: BTreeSet<&str> = lines.iter().map(|(name, _)| *name).collect();
    assert_eq!(asked, offered);
    assert!(lines.iter().all(|(_, value)| value.is_empty()), "{lines:?}");
    let required = compose.matches(":?}").count();
    assert!(required >= 8, "{required}");
}

#[test]
fn the_ports_agree() {
    let compose = yaml(COMPOSE);
    let metrics = compose["x-rtmsd"]["environment"]["METRICS_ADDR"].as_str().expect("an address");
    let (_, metrics) = metrics.split_once(':').expect("a port");
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    let targets = &prometheus["scrape_configs"][0]["static_configs"][0]["targets"];
    let services = keys(&compose["services"]);
    let daemons: Vec<_> = services.into_iter().filter(|name| name.starts_with("rtmsd-")).collect();
    let expected: Vec<String> = daemons.iter().map(|name| format!("{name}:{metrics}")).collect();
    assert_eq!(strings(targets), expected);
    assert_eq!(prometheus["scrape_configs"][0]["job_name"], "rtmsd", "the alerts ask for it");

    let port = variables().find(|variable| variable.name == "PORT").expect("a setting").default;
    let upstreams: Vec<String> = daemons.iter().map(|name| format!("{name}:{port}")).collect();
    let caddy = text("deploy/caddy/Caddyfile");
    assert!(caddy.contains(&format!("reverse_proxy {} {{", upstreams.join(" "))), "{caddy}");
    assert!(text("Dockerfile").contains(&format!("EXPOSE {port}\n")));
    let socket = text("deploy/systemd/rtmsd.socket");
    assert!(socket.contains(&format!("\nListenStream={port}\n")), "{socket}");

    let pods = text(STATEFULSET);
    for (name, setting, port) in [
        ("http", "PORT", port),
        ("admin", "ADMIN_ADDR", "3001"),
        ("metrics", "METRICS_ADDR", metrics),
    ] {
        assert!(pods.contains(&format!("{{name: {name}, containerPort: {port}}}")), "{name}");
        let address = pods.split_once(&format!("{{name: {setting}, value: \"")).expect(setting).1;
        let address = address.split('"').next().expect("its end");
        assert_eq!(address.rsplit(':').next(), Some(port), "{setting}");
    }
}

/// A stop has more time than the daemon takes: 10 s for requests, and bounds of the steps after it that add up to a minute.
#[test]
fn a_stop_has_the_same_time_everywhere() {
    let unit = text("deploy/systemd/rtmsd.service");
    assert!(unit.contains("\nTimeoutStopSec=90\n"), "{unit}");
    assert_eq!(yaml(COMPOSE)["x-rtmsd"]["stop_grace_period"], "90s");
    let values = yaml(VALUES);
    let grace = values["terminationGracePeriodSeconds"].as_u64().expect("seconds");
    let before = values["preStopSeconds"].as_u64().expect("seconds");
    assert!(grace - before >= 90, "{grace} {before}");
}

/// Zoom gives a stream up after a minute without a connection (rtms-protocol.md section 3.6).
#[test]
fn a_stuck_daemon_is_restarted_in_time_for_zoom() {
    let unit = text("deploy/systemd/rtmsd.service");
    let field = |name: &str| {
        let found = unit.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        found.expect(name).parse::<u64>().expect("seconds")
    };
    assert!(unit.contains("\nType=notify\n"), "{unit}");
    assert!(field("WatchdogSec") + field("RestartSec") < 45, "{unit}");
}

#[test]
fn images_and_compilers_are_pinned_and_agree() {
    let compose = yaml(COMPOSE);
    let services = compose["services"].as_object().expect("services");
    for (name, service) in services.iter().filter(|(name, _)| !name.starts_with("rtmsd-")) {
        let image = service["image"].as_str().expect("an image");
        let (_, tag) = image.split_once(':').expect("a tag");
        let number = tag.trim_start_matches('v').split('-').next().expect("a version");
        let has_numbers = number.split('.').all(|part| part.parse::<u32>().is_ok());
        assert!(has_numbers && number.contains('.'), "{name}: {image}");
    }
    let manifest = text("Cargo.toml");
    let field = |name: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")));
        line.and_then(|line| line.strip_suffix('"')).expect("a field").to_owned()
    };
    let (version, compiler) = (field("version"), field("rust-version"));
    assert!(text("Dockerfile").contains(&format!("\nARG BUILD_IMAGE=rust:{compiler}-alpine\n")));
    let ci = yaml(".github/workflows/ci.yml");
    assert_eq!(ci["jobs"]["test"]["container"], format!("rust:{compiler}-bookworm"));
    // The toolchain of developers may be newer, not older.
    assert!(text("rust-toolchain.toml").contains("channel = \"stable\""));
    let chart = yaml("deploy/helm/rtmsd/Chart.yaml");
    assert_eq!(chart["appVersion"], version.as_str());
    let image = compose["x-rtmsd"]["image"].as_str().expect("an image");
    assert!(image.ends_with(&format!("rtmsd:{version}}}")), "{image}");
}

#[test]
fn the_chart_knows_and_explains_every_value() {
    let (values, schema) = (yaml(VALUES), yaml(VALUES_SCHEMA));
    let mut known = keys(&schema["properties"]);
    assert!(known.remove("global"), "Helm sets it");
    assert_eq!(keys(&values), known);
    for name in known {
        let (value, about) = (&values[name], &schema["properties"][name]);
        if let (Some(value), Some(about)) = (value.as_object(), about.get("properties")) {
            assert_eq!(value.keys().map(String::as_str).collect::<BTreeSet<_>>(), keys(about));
        }
    }
    run_python(
        "import json, jsonschema, sys, yaml\n\
         values, schema = yaml.safe_load(open(sys.argv[1])), json.load(open(sys.argv[2]))\n\
         jsonschema.Draft7Validator.check_schema(schema)\n\
         jsonschema.validate(values, schema)",
        &[VALUES, VALUES_SCHEMA],
    );
    let text = text(VALUES);
    let lines: Vec<&str> = text.lines().collect();
    let silent: Vec<_> = lines
        .windows(2)
        .filter(|pair| {
            pair[1].starts_with(|c: char| c.is_ascii_lowercase()) && !pair[0].starts_with('#')
        })
        .collect();
    assert!(silent.is_empty(), "without a comment: {silent:#?}");
}

#[test]
fn the_templates_use_only_values_that_exist() {
    let values = yaml(VALUES);
    let (mut unknown, mut used) = (Vec::new(), BTreeSet::new());
    for name in TEMPLATES {
        let template = text(&format!("deploy/helm/rtmsd/templates/{name}"));
        for rest in template.split(".Values.").skip(1) {
            let end = |c: char| !c.is_ascii_alphanumeric() && c != '.';
            let path = rest.split(end).next().expect("a path").trim_end_matches('.');
            used.insert(path.split('.').next().expect("its start").to_owned());
            if values.pointer(&format!("/{}", path.replace('.', "/"))).is_none() {
                unknown.push(format!("{name}: {path}"));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
    let used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
    assert_eq!(used, keys(&values), "values that no template uses");
}

/// The chart carries the alerts and the board of this repository, not copies of them.
#[test]
fn the_chart_links_to_the_alerts_and_the_board() {
    for (link, file) in [("rules.yml", super::RULES), ("board.json", super::BOARD)] {
        assert_eq!(text(&format!("deploy/helm/rtmsd/files/{link}")), text(file));
        let path = super::root().join("deploy/helm/rtmsd/files").join(link);
        assert!(path.is_symlink(), "{link} is a copy");
    }
}
