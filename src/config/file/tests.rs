//! Settings files: their keys, their values and their mistakes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::{Config, ConfigErrors, Source};

const APP: &str =
    "[zoom]\nclient_id = \"id\"\nclient_secret = \"s3cret\"\nsecret_token = \"token\"\n";

fn parsed(text: &str) -> ConfigFile {
    ConfigFile::parse("rtmsd.toml", text).unwrap()
}

/// The problems of a file.
fn problems(text: &str) -> Vec<String> {
    let said: Vec<_> = parsed(text)
        .mistakes()
        .map(|mistake| format!("{}: {}", mistake.name, mistake.problem))
        .collect();
    assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
    said
}

/// The settings of a daemon with this environment, `.env` and settings file.
fn settings(
    environment: &'static [(&'static str, &'static str)],
    env: &str,
    file: &str,
) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rtmsd.toml");
    fs::write(folder.path().join(".env"), env).unwrap();
    fs::write(&path, file).unwrap();
    for path in [&path, &folder.path().join(".env")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let source = Source::read(folder.path(), Some(&path), |name| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    source.settle(Config::to_serve(|name| source.lookup(name)))
}

#[test]
fn a_key_is_a_settings_name_in_lower_case_and_tables_are_parts_of_names() {
    for text in ["nats_url = 'x'", "[nats]\nurl = 'x'", "nats.url = 'x'"] {
        assert_eq!(parsed(text).value("NATS_URL"), Some("x"), "{text}");
    }
    let file = parsed(
        "[zoom.video]\nsdk_key = 'k'\n[capture]\nbytes = 1\n[zoom]\nclient_secret_file = '/x'",
    );
    assert_eq!(file.value("ZOOM_VIDEO_SDK_KEY"), Some("k"));
    assert_eq!(file.value("CAPTURE_BYTES"), Some("1"));
    assert_eq!(file.value("ZOOM_CLIENT_SECRET_FILE"), Some("/x"));
    assert_eq!(parsed("[aws]\nregion = 'eu'").value("AWS_REGION"), Some("eu"));
    assert_eq!(file.mistakes().count(), 0);
}

#[test]
fn every_setting_can_be_in_the_file() {
    for variable in variables() {
        let key = variable.name.to_ascii_lowercase();
        let file = parsed(&format!("{key} = 'v'"));
        assert_eq!(file.value(variable.name), Some("v"), "{key}");
        let grouped = key.replacen('_', ".", 1);
        assert_eq!(
            parsed(&format!("{grouped} = 'v'")).value(variable.name),
            Some("v"),
            "{grouped}"
        );
    }
}

#[test]
fn values_become_what_they_would_be_in_the_environment() {
    let value = |text: &str| {
        parsed(&format!("media_types = {text}")).value("MEDIA_TYPES").map(str::to_owned)
    };
    for (text, expected) in [
        ("['audio', 'transcript']", "audio,transcript"),
        ("[1, 2.5, true]", "1,2.5,true"),
        ("0x1F", "31"),
        ("1_000", "1000"),
        ("false", "false"),
        ("\"a\\\"b\"", "a\"b"),
        ("'''\na\nb'''", "a\nb"),
    ] {
        assert_eq!(value(text).as_deref(), Some(expected), "{text}");
    }
    assert_eq!(value("''"), None, "an empty value counts as none");
    assert_eq!(value("[]"), None);
    let apps =
        parsed("[[zoom_apps]]\nname = 'acme'\nproducts = ['meeting']\nmax_streams_per_app = 3\n");
    let json: Value = serde_json::from_str(apps.value("ZOOM_APPS").unwrap()).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{"name": "acme", "products": ["meeting"], "max_streams_per_app": 3}])
    );
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    assert_eq!(
        problems("# mine\n[zoom]\nclient_di = 's3cret'\n"),
        [
            "--config: rtmsd.toml line 3 sets zoom.client_di, which is no setting: did you mean zoom_client_id?"
        ]
    );
    for (text, nearest) in [
        ("ZOOM_CLIENT_ID = 'x'", "zoom_client_id"),
        ("zm_rtms_client = 'x'", "zoom_client_id"),
        ("media.type = 'x'", "media_types"),
        ("prot = 1", "port"),
        ("\"s3cret token\" = 1", "?"),
        ("[port]\nx = 1", "port"),
    ] {
        let said = problems(text);
        assert_eq!(said.len(), 1, "{text}: {said:?}");
        assert!(said[0].contains("which is no setting: did you mean"), "{said:?}");
        assert!(said[0].contains(nearest), "{text}: {said:?}");
    }
}

#[test]
fn mistakes_name_their_lines_in_order_and_no_value() {
    let text = "zoom_client_secret = 's3cret'\n[zoom]\nclient_secret = 's3cret'\nclient_id = 2026-11-29\n\
                api_base_url = '***'\n[x]\ny = ['s3cret']\n[cors]\nallowed_origins = ['s3cret,b']\n";
    let said = problems(text);
    assert_eq!(
        said,
        [
            "ZOOM_CLIENT_SECRET: rtmsd.toml line 3 sets what line 1 sets: keep one of them",
            "ZOOM_CLIENT_ID: rtmsd.toml line 4 has a date: put it in quotes",
            "ZOOM_API_BASE_URL: rtmsd.toml line 5 has a redacted value: fill it in",
            "--config: rtmsd.toml line 7 sets x.y, which is no setting: did you mean host?",
            "CORS_ALLOWED_ORIGINS: rtmsd.toml line 9 has an element with a comma: make it several elements",
        ]
    );
    let broken = ConfigFile::parse("rtmsd.toml", "port = 3000\nzoom_client_secret = s3cret\n")
        .err()
        .unwrap();
    assert!(broken.starts_with("line 2 is not TOML: ") && !broken.contains("s3cret"), "{broken}");
}

#[test]
fn the_environment_comes_before_env_and_env_before_the_file() {
    let file = format!("host = '10.0.0.3'\nport = 3003\nmax_streams = 3\n{APP}");
    let environment = &[("HOST", "10.0.0.1")];
    let config = settings(environment, "HOST=10.0.0.2\nSERVER_PORT=3002\n", &file).unwrap();
    assert_eq!(config.address.to_string(), "10.0.0.1:3002");
    assert_eq!(config.max_streams, 3);
}

#[test]
fn a_value_above_hides_the_files_own_value_file_and_an_empty_line_of_env_does_not() {
    let file = format!(
        "zoom_client_secret_file = '/no/such'\n{}",
        APP.replace("client_secret = \"s3cret\"\n", "")
    );
    let config = settings(&[("ZM_RTMS_SECRET", "above")], "ZOOM_CLIENT_ID=\n", &file).unwrap();
    assert_eq!(config.apps[0].client.secret.expose(), "above");
    assert_eq!(config.apps[0].client.id, "id");
    let said = settings(&[], "", &file).unwrap_err().to_string();
    assert!(said.contains("the file of ZOOM_CLIENT_SECRET_FILE cannot be read"), "{said}");
}

#[test]
fn a_wrong_value_names_its_line_in_the_file() {
    let said = settings(&[], "", &format!("port = 's3cret'\n{APP}")).unwrap_err().to_string();
    assert!(said.contains("PORT: must be a whole number from 0 to 65535 ("), "{said}");
    assert!(said.contains("rtmsd.toml line 1)") && !said.contains("s3cret"), "{said}");
}

#[test]
fn a_file_that_is_missing_or_that_others_can_write_is_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rtmsd.toml");
    let said = |path: &Path| {
        let source = Source::read(folder.path(), Some(path), |_| None);
        source.settle(Config::to_serve(|name| source.lookup(name))).unwrap_err()
    };
    let missing = said(&path);
    assert_eq!(missing.0.len(), 1, "{missing}");
    assert!(missing.to_string().contains("rtmsd.toml cannot be read"), "{missing}");
    fs::write(&path, APP).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let open = said(&path);
    assert_eq!(open.0.len(), 1, "{open}");
    assert!(open.to_string().contains("run chmod go-w"), "{open}");
}

#[test]
fn a_file_with_secrets_that_everybody_can_read_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rtmsd.toml");
    let notes = |text: &str, mode: u32| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Source::read(folder.path(), Some(&path), |_| None).notes()
    };
    assert_eq!(notes(APP, 0o640), [""; 0]);
    assert_eq!(notes("port = 3000", 0o644), [""; 0]);
    for secrets in [APP, "[aws]\nsecret_access_key = 'x'", "database_url = 'postgres://h/d'"] {
        let said = notes(secrets, 0o644);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("run chmod o-r"), "{said:?}");
    }
}

#[test]
fn the_documented_example_is_a_settings_file() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let document = fs::read_to_string(document).unwrap();
    let example = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let file = parsed(example);
    assert_eq!(file.mistakes().count(), 0, "{:?}", problems(example));
    assert_eq!(file.value("MEDIA_TYPES"), Some("audio,transcript"));
    assert!(file.value("ZOOM_APPS").unwrap().contains("acme"));
}
