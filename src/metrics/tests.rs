//! The table of metrics, its text, and docs/metrics.md, which is what the table yields.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::written::part_agrees;

const DOCUMENT: &str = "docs/metrics.md";

fn scope(names: &[&str]) -> AppScope {
    AppScope::Only(names.iter().map(|name| AppName::parse(name).unwrap()).collect())
}

#[test]
fn names_follow_the_conventions() {
    let mut names = HashSet::new();
    for Row { name, kind, labels, help, buckets } in rows() {
        assert!(names.insert(name), "{name} is there twice");
        assert!(["rtms_", "rtmsd_", "process_"].iter().any(|start| name.starts_with(start)));
        assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
        assert_eq!(*kind == Kind::Histogram, !buckets.is_empty(), "{name}");
        assert!(buckets.is_sorted(), "{name}");
        assert!(help.ends_with('.'), "{name}: {help}");
        let labels: HashSet<_> = labels.iter().map(|label| label.name).collect();
        assert!(labels.iter().all(|label| !label.contains("id")), "{name}: no ids in labels");
    }
    assert!(names.len() > 60);
}

#[test]
fn a_label_has_no_value_that_the_table_does_not_list() {
    let metrics = Metrics::default();
    for (event, outcome) in [("meeting.rtms_started", "changed"), ("a\"b\n{}", "x"), ("c", "y")] {
        metrics.webhooks.inc(["acme", event, outcome]);
    }
    assert_eq!(metrics.webhooks.get(["acme", "meeting.rtms_started", "changed"]), 1);
    assert_eq!(metrics.webhooks.get(["acme", "anything", "else"]), 2);
    let text = metrics.render(&Gathered::default(), &AppScope::All);
    let series = r#"rtms_webhooks_total{app="acme",event="other",outcome="other"} 2"#;
    assert!(text.lines().any(|line| line == series), "{text}");
}

#[test]
fn the_series_of_small_metrics_exist_before_the_first_count() {
    let metrics = Metrics::default();
    metrics.add_app(&AppName::parse("acme").unwrap());
    let text = metrics.render(&Gathered::default(), &AppScope::All);
    for series in [
        r#"rtmsd_token_refreshes_total{app="acme",result="rejected"} 0"#,
        r#"rtmsd_outgoing_deliveries_total{app="acme",outcome="failed"} 0"#,
        r#"rtmsd_part_restarts_total{part="recorder"} 0"#,
        r#"rtms_frames_dropped_total{medium="audio",sink="nats"} 0"#,
        "rtmsd_panics_total 0",
        "rtmsd_store_batch_seconds_count 0",
    ] {
        assert!(text.lines().any(|line| line == series), "{series} in {text}");
    }
    assert!(!text.contains("rtms_webhook_latency_seconds"), "many series for each app");
    assert!(!text.contains("rtms_active_meetings"), "a gauge without a value is absent");
}

#[test]
fn a_scope_of_some_apps_sees_their_series_and_nothing_of_the_daemon() {
    let metrics = Metrics::default();
    for app in ["acme", "other", ""] {
        metrics.outgoing.inc([app, "delivered"]);
        metrics.gap_seconds.add_time([app, "audio", "link_lost"], Duration::from_millis(1500));
    }
    metrics.panics.inc([]);
    let gathered = Gathered::default();
    read_process(&gathered);
    gathered.active_meetings.set(["other", "meeting"], 3.0);
    let all = metrics.render(&gathered, &AppScope::All);
    assert!(all.contains("rtms_active_meetings{app=\"other\",product=\"meeting\"} 3"));
    assert!(all.contains("process_resident_memory_bytes"));
    let acme = metrics.render(&gathered, &scope(&["acme"]));
    let series: Vec<&str> = acme.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        series,
        [
            r#"rtms_gap_seconds_total{app="acme",cause="link_lost",medium="audio"} 1.5"#,
            r#"rtmsd_outgoing_deliveries_total{app="acme",outcome="delivered"} 1"#
        ]
    );
    assert_eq!(metrics.render(&gathered, &scope(&["nobody"])), "");
}

#[test]
fn the_order_of_series_stays_the_same() {
    let render = |apps: [&str; 3]| {
        let metrics = Metrics::default();
        apps.iter().for_each(|app| metrics.outgoing.inc([app, "delivered"]));
        metrics.render(&Gathered::default(), &AppScope::All)
    };
    assert_eq!(render(["b", "c", "a"]), render(["a", "b", "c"]));
}

#[test]
fn clones_count_together_and_daemons_apart() {
    let (one, other) = (Metrics::default(), Metrics::default());
    one.clone().part_restarts.inc(["nats"]);
    assert_eq!(one.part_restarts.by_value(), BTreeMap::from([("nats".to_owned(), 1)]));
    assert!(other.part_restarts.by_value().is_empty());
}

#[test]
fn the_documented_metrics_are_what_their_table_yields() {
    let mut text = "\n| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for Row { name, kind, labels, help, .. } in rows() {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let (kind, labels) = (format!("{kind:?}").to_lowercase(), labels.join(", "));
        let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {help} |");
    }
    part_agrees(DOCUMENT, "<!-- metrics:begin -->\n", &text, "<!-- metrics:end -->");
}

#[test]
fn the_documented_labels_are_what_the_table_of_metrics_yields() {
    let mut text = "\n| label | of | values |\n|---|---|---|\n".to_owned();
    let mut known: Vec<(&str, &[&str])> = Vec::new();
    for label in rows().flat_map(|row| row.labels) {
        let Values::Of(values) = label.values else { continue };
        if known.contains(&(label.name, values)) || label.name == "version" {
            continue;
        }
        known.push((label.name, values));
        let has_it = |row: &&Row| {
            let is_it =
                |other: &Label| matches!(other.values, Values::Of(other) if other == values);
            row.labels.iter().any(|other| other.name == label.name && is_it(other))
        };
        let of: Vec<_> = rows().filter(has_it).map(|row| format!("`{}`", row.name)).collect();
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        let values = values.join(", ").replace("``", "(empty)");
        let _ = writeln!(text, "| `{}` | {} | {values} |", label.name, of.join(", "));
    }
    part_agrees(DOCUMENT, "<!-- labels:begin -->\n", &text, "<!-- labels:end -->");
}
