use std::collections::HashMap;

use super::*;

const GOOD: [(&str, &str); 3] = [
    ("ZOOM_CLIENT_ID", "id"),
    ("ZOOM_CLIENT_SECRET", "s3cret-client"),
    ("ZOOM_SECRET_TOKEN", "s3cret-token"),
];

fn config(changes: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let values: HashMap<&str, &str> = GOOD.iter().chain(changes).copied().collect();
    Config::from_lookup(|name| values.get(name).map(ToString::to_string))
}

fn mistakes(changes: &[(&str, &str)]) -> Vec<&'static str> {
    let errors = config(changes).expect_err("these settings are wrong");
    errors.0.iter().map(|mistake| mistake.name).collect()
}

#[test]
fn the_three_secrets_of_an_app_are_enough() {
    let config = config(&[]).unwrap();
    assert_eq!(config.address.to_string(), "0.0.0.0:3000");
    assert_eq!(config.webhook_path, "/webhook");
    assert_eq!(config.params, Params::default());
    assert!(matches!(config.database, Location::Sqlite(path) if path.ends_with("data/rtmsd.db")));
    assert!(config.api_tokens.is_empty());
}

#[test]
fn every_mistake_is_reported_at_once_by_name_and_without_its_value() {
    let wrong = [
        ("ZOOM_SECRET_TOKEN", ""),
        ("PORT", "s3cret-port"),
        ("DATABASE_URL", "mysql://root:s3cret@host/db"),
        ("MEDIA_TYPES", "audio,s3cret"),
        ("WEBHOOK_PATH", "s3cret"),
        ("API_TOKENS", "s3cret"),
        ("RTMS_ALLOW_WS", "s3cret"),
        ("LOG_LEVEL", "s3cret"),
        ("ENTRY_BATCH_MS", "0"),
        ("RTMS_ALLOWED_HOSTS", "https://s3cret/"),
        ("SHUTDOWN_STREAMS", "s3cret"),
    ];
    let errors = config(&wrong).unwrap_err();
    for (name, _) in wrong {
        assert!(errors.0.iter().any(|mistake| mistake.name == name), "{name} is not reported");
    }
    assert!(!errors.to_string().contains("s3cret"), "{errors}");
}

#[test]
fn a_missing_secret_says_where_to_find_it() {
    let errors = Config::from_lookup(|_| None).unwrap_err();
    let names: Vec<_> = errors.0.iter().map(|mistake| mistake.name).collect();
    assert_eq!(names, ["ZOOM_SECRET_TOKEN", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET"]);
    assert!(errors.to_string().contains("Secret Token of your Zoom app"), "{errors}");
    assert!(errors.to_string().contains("ZM_RTMS_WEBHOOK_SECRET"), "{errors}");
}

#[test]
fn the_names_of_zooms_samples_are_read() {
    let sample = HashMap::from([
        ("ZM_RTMS_CLIENT", "id"),
        ("ZM_RTMS_SECRET", "secret"),
        ("ZM_RTMS_WEBHOOK_SECRET", "token"),
        ("ZM_RTMS_PORT", "8080"),
        ("ZM_RTMS_PATH", "/zoom"),
        ("ZM_RTMS_LOG_LEVEL", "DEBUG"),
        ("ZM_RTMS_LOG_FORMAT", "progressive"),
    ]);
    let config = Config::from_lookup(|name| sample.get(name).map(ToString::to_string)).unwrap();
    assert_eq!(config.address.port(), 8080);
    assert_eq!(config.webhook_path, "/zoom");
    assert_eq!(config.log.level, "debug");
}

#[test]
fn two_different_values_for_one_thing_are_refused_with_both_names() {
    let errors = config(&[("ZM_RTMS_CLIENT", "another")]).unwrap_err().to_string();
    assert!(errors.contains("ZOOM_CLIENT_ID") && errors.contains("ZM_RTMS_CLIENT"), "{errors}");
    assert!(config(&[("ZM_RTMS_CLIENT", "id")]).is_ok());
}

#[test]
fn a_postgres_url_is_a_secret() {
    let config = config(&[("DATABASE_URL", "postgres://u:s3cret@h/d")]).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn media_are_named_once_each() {
    let config = config(&[("MEDIA_TYPES", " Audio, transcript ,audio")]).unwrap();
    assert_eq!(config.params.media, [Medium::Audio, Medium::Transcript]);
    assert_eq!(mistakes(&[("MEDIA_TYPES", "audio,,video")]), ["MEDIA_TYPES"]);
}

#[test]
fn the_defaults_of_the_table_are_the_defaults() {
    let defaults: Vec<(&str, &str)> = VARIABLES
        .iter()
        .filter(|variable| !variable.default.is_empty())
        .map(|variable| (variable.name, variable.default))
        .collect();
    let (written, left_out) = (config(&defaults).unwrap(), config(&[]).unwrap());
    assert_eq!(format!("{written:?}"), format!("{left_out:?}"));
}

#[test]
fn the_example_file_names_every_setting_with_its_default() {
    let example = include_str!("../../.env.example");
    for variable in VARIABLES {
        let line = format!("{}={}", variable.name, variable.default);
        let is_there =
            example.lines().any(|text| text.trim_start_matches('#').trim_start() == line);
        assert!(is_there, ".env.example lacks the line `{line}` (commented out or not)");
    }
}

#[test]
fn the_readme_names_every_setting() {
    let readme = include_str!("../../README.md");
    for variable in VARIABLES {
        let cell = format!("| `{}`", variable.name);
        assert!(readme.contains(&cell), "README.md lacks a row for {}", variable.name);
    }
}
