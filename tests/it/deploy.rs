//! The files of `deploy`: the alerts and the board name metrics that exist, and every alert is explained and tested.

mod artefacts;
mod files;
mod python;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rtmsd::metrics::{Kind, rows};
use serde_json::Value;

use crate::support::prometheus::promtool;

const RULES: &str = "deploy/prometheus/rules.yml";
const RULE_TESTS: &str = "deploy/prometheus/rules_test.yml";
const BOARD: &str = "deploy/grafana/rtmsd.json";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// The expressions of the alerts and of the board, as Prometheus gets them.
pub(crate) fn expressions() -> Vec<String> {
    let mut all = board_expressions();
    let rules = text(RULES);
    for rule in rules.split("- alert: ").skip(1) {
        let (_, rest) = rule.split_once("expr: ").expect("an expression");
        let end = ["\n        for:", "\n        labels:"].iter().filter_map(|end| rest.find(end));
        let expression = &rest[..end.min().expect("labels follow")];
        all.push(expression.trim_start_matches('|').trim().to_owned());
    }
    assert!(all.len() > 90, "{all:#?}");
    all
}

fn board_expressions() -> Vec<String> {
    let board: Value = serde_json::from_str(&text(BOARD)).expect("the board is JSON");
    let panels = board["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets
        .map(|target| {
            let expression = target["expr"].as_str().expect("an expression");
            let expression = expression.replace("$__rate_interval", "1m");
            expression.replace("$instance", ".*").replace("$app", ".*")
        })
        .collect()
}

/// The metrics that expressions name.
pub(crate) fn metrics_in<'a>(expressions: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expressions.into_iter().flat_map(|text| text.split(move |c| !is_part(c)));
    let is_metric =
        |word: &&str| ["rtms_", "rtmsd_", "process_"].iter().any(|start| word.starts_with(start));
    words.filter(is_metric).map(str::to_owned).collect()
}

fn alerts() -> BTreeSet<String> {
    let rules = text(RULES);
    rules
        .split("- alert: ")
        .skip(1)
        .filter_map(|rule| rule.lines().next())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_alerts_are_valid_and_fire_when_they_should() {
    promtool(&["check", "rules", RULES], "").await.expect("valid rules");
    promtool(&["test", "rules", RULE_TESTS], "").await.expect("every case of rules_test.yml");
    let cases = text(RULE_TESTS);
    for alert in alerts() {
        let runbook = format!("runbook: docs/operate.md#{}", alert.to_lowercase());
        assert!(cases.contains(&runbook), "{alert} has no case in which it fires");
    }
}

#[tokio::test]
async fn every_expression_of_the_board_is_valid() {
    let rules: Vec<Value> = board_expressions()
        .into_iter()
        .enumerate()
        .map(|(n, expr)| serde_json::json!({"record": format!("board:{n}"), "expr": expr}))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("board.yml");
    // JSON is YAML.
    let group = serde_json::json!({"groups": [{"name": "board", "rules": rules}]});
    fs::write(&file, group.to_string()).unwrap();
    promtool(&["check", "rules", &file.display().to_string()], "")
        .await
        .expect("valid expressions");
}

#[test]
fn the_alerts_and_the_board_name_only_metrics_of_the_table() {
    let mut names = BTreeSet::new();
    for row in rows() {
        match row.kind {
            Kind::Histogram => {
                names.extend(["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", row.name)));
            }
            Kind::Counter | Kind::Gauge => drop(names.insert(row.name.to_owned())),
        }
    }
    let expressions = expressions();
    let named = metrics_in(expressions.iter().map(String::as_str));
    let unknown: Vec<_> = named.difference(&names).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(named.len() > 60, "{named:?}");
}

#[test]
fn every_alert_is_explained_and_only_alerts_are() {
    let operate = text("docs/operate.md");
    let headings = operate.lines().filter_map(|line| line.strip_prefix("### "));
    let explained: BTreeSet<String> = headings.map(str::to_owned).collect();
    assert_eq!(explained, alerts());
    let rules = text(RULES);
    for alert in alerts() {
        let runbook = format!("runbook: docs/operate.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&runbook), "{alert} has no runbook");
    }
}
