//! A dump has every value and no secret.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::config::{Secrecy, value_files};

/// The sources of a folder with a `.env` and a settings file of these contents.
fn source(folder: &Path, env: &str, file: &str) -> Source<impl Fn(&str) -> Option<String> + use<>> {
    fs::write(folder.join(".env"), env).unwrap();
    fs::write(folder.join("rtmsd.toml"), file).unwrap();
    let environment = |name: &str| (name == "HOST").then(|| "10.0.0.1".to_owned());
    Source::read(folder, Some(&folder.join("rtmsd.toml")), environment)
}

#[test]
fn every_value_is_shown_with_where_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "s3cret\n").unwrap();
    let file = format!(
        "host = \"10.0.0.2\"\n[zoom]\nclient_id = \"id\"\nclient_secret_file = \"{}\"\n[nats]\nurl = \"nats://u:p@n\"\n",
        secret.display()
    );
    let source = source(folder.path(), "SERVER_PORT=3001\n", &file);
    let dumped = dump(&source);
    let shown = |name: &str| {
        let setting = dumped.iter().find(|setting| setting.name == name).unwrap();
        (setting.value.clone(), setting.origin.clone().unwrap_or_default())
    };
    let path = folder.path().join("rtmsd.toml").display().to_string();
    let expect = |name: &str, value: &str, origin: &str| {
        assert_eq!(shown(name), (value.to_owned(), origin.to_owned()), "{name}");
    };
    expect("HOST", "10.0.0.1", "environment");
    expect("PORT", "3001", ".env line 1");
    expect("ZOOM_CLIENT_ID", "id", &format!("{path} line 3"));
    let origin = format!("the file of ZOOM_CLIENT_SECRET_FILE, {path} line 4");
    expect("ZOOM_CLIENT_SECRET", "***", &origin);
    expect("NATS_URL", "nats://***@n", &format!("{path} line 6"));
    expect("MAX_STREAMS", "4000", "");
    assert!(!dumped.iter().any(|setting| setting.name == "ZOOM_S2S_CLIENT_ID"), "it is not set");
}

/// The settings that hold a secret, and the variables of object stores, which all count as such.
fn secret_names() -> Vec<(&'static str, Secrecy)> {
    let settings = variables().filter(|it| it.secrecy != Secrecy::All);
    let settings = settings.flat_map(|it| it.names().map(|name| (name, it.secrecy)));
    settings.chain(target::store_variables().map(|name| (name, Secrecy::Nothing))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_secret_appears_in_a_dump(
        (name, secrecy) in select(secret_names()),
        word in "[a-zA-Z0-9@/?#:,%=+._-]{0,12}",
        form in 0..4_usize,
        source_kind in 0..3_usize,
    ) {
        let secret = format!("s3cr{word}et");
        let value = match (secrecy, form) {
            (Secrecy::UrlOnly, 0) => format!("postgres://user:{secret}@host:5432/db"),
            (Secrecy::UrlOnly, 1) => format!("wss://host/ws?id={secret}"),
            (Secrecy::UrlOnly, 2) => format!("nats://{secret}@one,nats://{secret}@two"),
            (Secrecy::UrlOnly, _) => format!("user:{secret}@host:8080"),
            (_, 0) => secret.clone(),
            (_, _) => format!("name:{secret}:admin,x:{secret}"),
        };
        let folder = tempfile::tempdir().unwrap();
        let is_alias = !variables().any(|variable| variable.name == name)
            && !target::is_store_variable(name);
        let (env, file) = match source_kind {
            0 => (format!("{name}='{value}'\n"), String::new()),
            1 if !is_alias => (String::new(), format!("{} = '{value}'\n", name.to_lowercase())),
            _ => {
                let path = folder.path().join("value");
                fs::write(&path, &value).unwrap();
                (format!("{name}_FILE='{}'\n", path.display()), String::new())
            }
        };
        let dumped = dump(&source(folder.path(), &env, &file));
        let shown = format!("{dumped:?}");
        prop_assert!(!shown.contains(&secret), "{name}={value}: {shown}");
        // No file has the value of an object store's variable, and that of ZOOM_APPS is another setting.
        let has_file = !target::is_store_variable(name) && value_files::file_name(name).is_some();
        let has_value = source_kind != 2 || has_file;
        prop_assert!(!has_value || shown.contains("***"), "{name}={value}: {shown}");
    }
}
