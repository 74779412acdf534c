//! The environment and `.env` together.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::config::Config;

const APP: &str = "ZOOM_CLIENT_ID=id\nZOOM_CLIENT_SECRET=s3cret\nZOOM_SECRET_TOKEN=token\n";

/// A folder with a `.env` file of this content.
fn folder(content: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(dotenv::FILE);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

fn read(
    content: impl AsRef<[u8]>,
    environment: &'static [(&'static str, &'static str)],
) -> Result<Config, ConfigErrors> {
    let folder = folder(content);
    let source = Source::read(folder.path(), None, |name| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    source.settle(Config::to_serve(|name| source.lookup(name)))
}

fn said(content: impl AsRef<[u8]>) -> String {
    read(content, &[]).expect_err("there is a mistake").to_string()
}

#[test]
fn the_environment_wins_also_under_another_name_of_the_setting() {
    let content = format!("{APP}ZM_RTMS_PORT=8080\nHOST=10.0.0.1\n");
    let config = read(content, &[("PORT", "3001")]).unwrap();
    assert_eq!(config.address.to_string(), "10.0.0.1:3001");
}

#[test]
fn a_mistake_names_the_line_of_the_file_and_not_the_value() {
    let said = said(format!("# mine\n{APP}\nPORT=s3cret\nMEDIA_TYPES=s3cret\n"));
    assert!(said.contains("PORT: must be a whole number from 0 to 65535 (.env line 6)"), "{said}");
    assert!(said.contains("(.env line 7)"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn two_values_for_one_setting_name_both_lines() {
    let said = said(format!("{APP}ZM_RTMS_CLIENT=other\n"));
    assert!(said.contains("(.env lines 1, 4)"), "{said}");
}

#[test]
fn an_unreadable_line_is_in_the_same_list_and_its_setting_is_not_missing() {
    let said = said("ZOOM_CLIENT_ID=my id s3cret\nPORT=x\nZOOM_CLIENT_SECRET='s3cret\n");
    assert!(said.contains("ZOOM_CLIENT_ID: .env line 1 cannot be read"), "{said}");
    assert!(
        said.contains("ZOOM_CLIENT_SECRET: .env line 3 has a quote that is not closed"),
        "{said}"
    );
    assert!(said.contains("PORT: must be"), "{said}");
    assert!(said.contains("ZOOM_SECRET_TOKEN: missing"), "{said}");
    assert_eq!(said.matches("ZOOM_CLIENT_ID:").count(), 1, "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_malformed_variable_of_another_program_is_ignored() {
    let others = "OVERLAY_LABEL=Verified by\nCORS=${PUBLIC_URL},x\nPROMPT=\"open\n";
    assert!(read(format!("{others}{APP}"), &[]).is_ok());
}

#[test]
fn a_line_without_a_name_is_reported_by_its_number() {
    let said = said(format!("{APP}s3cret-token\n"));
    assert!(said.contains(".env: line 4 cannot be read"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_line_that_the_environment_overrides_is_not_read() {
    assert!(read(format!("{APP}PORT=a b\n"), &[("PORT", "3001")]).is_ok());
}

#[test]
fn a_value_with_quotes_inside_is_refused_from_every_source() {
    for quoted in ["'\"token\"'", "“token”", "`token`", "\"'token'\""] {
        let said = said(APP.replace("=token", &format!("={quoted}")));
        assert!(said.contains("ZOOM_SECRET_TOKEN: the value is in quotes"), "{quoted}: {said}");
        assert!(said.contains("(.env line 3)"), "{quoted}: {said}");
    }
    let environment = &[("ZOOM_SECRET_TOKEN", "\"token\"")];
    let said = read(APP, environment).unwrap_err().to_string();
    assert!(said.contains("ZOOM_SECRET_TOKEN: the value is in quotes"), "{said}");
    assert!(!said.contains(".env line"), "{said}");
}

#[test]
fn a_credential_with_a_character_that_is_not_printable_ascii_is_refused_by_line() {
    for odd in
        ["s3\u{a0}cret", "'\u{200b}s3cret'", "s3cret\u{feff}", "s3crét", "'s3\tcret'", "s3cret…"]
    {
        let said = said(APP.replace("=token", &format!("={odd}")));
        assert!(said.contains("ZOOM_SECRET_TOKEN: the value has a character"), "{odd:?}: {said}");
        assert!(said.contains("(.env line 3)"), "{odd:?}: {said}");
        assert!(!said.contains("s3") && !said.contains("missing"), "{odd:?}: {said}");
    }
    for around in ["\u{a0}token\u{a0}", "'\u{a0}token '"] {
        let config = read(APP.replace("=token", &format!("={around}")), &[]);
        assert_eq!(config.unwrap().apps[0].secret_tokens[0].expose(), "token", "{around:?}");
    }
}

#[test]
fn a_second_value_in_the_file_is_refused_by_line_unless_it_is_another_programs() {
    let said = said(format!("{APP}OTHER=1\nOTHER=2\nZOOM_CLIENT_ID=s3cret\n"));
    assert!(
        said.contains("ZOOM_CLIENT_ID: .env line 6 sets a variable that a line above"),
        "{said}"
    );
    assert!(!said.contains("s3cret") && !said.contains("OTHER"), "{said}");
}

#[test]
fn a_file_that_other_users_can_write_is_refused() {
    for mode in [0o622, 0o660, 0o602, 0o666] {
        let folder = folder(APP);
        let path = folder.path().join(dotenv::FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let source = Source::read(folder.path(), None, |_| None);
        let errors = source.settle(Config::to_serve(|name| source.lookup(name))).unwrap_err();
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert!(errors.to_string().contains("run chmod go-w .env"), "{errors}");
    }
}

#[test]
fn a_file_that_is_not_text_is_refused_with_the_reason() {
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(APP.bytes().flat_map(|b| [b, 0])).collect();
    assert!(said(utf16).contains("UTF-16"));
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(dotenv::FILE)).unwrap();
    let source = Source::read(folder.path(), None, |_| None);
    let errors = source.settle(Config::to_serve(|name| source.lookup(name))).unwrap_err();
    assert!(errors.to_string().contains(".env: "), "{errors}");
}

#[test]
fn a_missing_file_is_accepted_and_parent_folders_are_not_searched() {
    let folder = folder(APP);
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    let source = Source::read(&below, None, |_| None);
    assert_eq!(source.lookup("ZOOM_CLIENT_ID"), None);
    assert!(source.settle(Ok(())).is_ok());
}

#[test]
fn a_byte_order_mark_at_the_start_is_noted() {
    let folder = folder(format!("\u{feff}{APP}"));
    let source = Source::read(folder.path(), None, |_| None);
    assert_eq!(source.lookup("ZOOM_CLIENT_ID").as_deref(), Some("id"));
    assert!(source.notes()[0].contains(".env line 1"));
}

#[test]
fn a_name_that_is_nearly_a_settings_name_is_pointed_out_and_its_value_is_not_shown() {
    let notes = |content: &str| {
        let folder = folder(content);
        Source::read(folder.path(), None, |_| None).notes()
    };
    let said = notes(&format!("{APP}ZOOM_SECRT_TOKEN=s3cret\nRECORDNGS_UR=x\nPORTT=1\n"));
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(
        said[0],
        ".env line 4: ZOOM_SECRT_TOKEN is not a setting and is ignored; did you mean ZOOM_SECRET_TOKEN?"
    );
    assert!(said[1].ends_with("did you mean RECORDINGS_URL?"), "{said:?}");
    assert!(said[2].ends_with("did you mean PORT?"), "{said:?}");
    assert_eq!(notes("media_types=audio\n").len(), 1, "names are in upper case");
    for others in ["HOME=/x", "AWS_REGION=x", "NODE_ENV=x", "LOG_FILE=x", "REDIS_URL=x"] {
        assert_eq!(notes(&format!("{APP}{others}\n")), [""; 0], "{others}");
    }
    assert!(read(format!("{APP}ZOOM_SECRT_TOKEN=x\n"), &[]).is_ok(), "it is no error");
}

#[test]
fn the_distance_of_two_texts_is_counted_in_letters() {
    for (one, other, expected) in [
        ("", "", 0),
        ("PORT", "PORT", 0),
        ("PORT", "", 4),
        ("PROT", "PORT", 2),
        ("kitten", "sitting", 3),
    ] {
        assert_eq!(
            (edit_distance(one, other), edit_distance(other, one)),
            (expected, expected),
            "{one} {other}"
        );
    }
}

#[test]
fn a_setting_may_be_in_a_file_that_another_variable_names() {
    let secrets = tempfile::tempdir().unwrap();
    let path = secrets.path().join("secret");
    fs::write(&path, "s3cret\n").unwrap();
    let file = path.display();
    let content =
        format!("ZOOM_CLIENT_ID=id\nZM_RTMS_SECRET_FILE={file}\nZOOM_SECRET_TOKEN=token\n");
    let config = read(&content, &[]).unwrap();
    assert_eq!(config.apps[0].client.secret.expose(), "s3cret");

    let both = format!("{content}ZOOM_CLIENT_SECRET=other\n");
    let said = said(both);
    assert!(said.contains("ZOOM_CLIENT_SECRET and ZM_RTMS_SECRET_FILE are both set"), "{said}");
    assert!(!said.contains("s3cret") && !said.contains("other"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake_and_its_setting_is_not_missing() {
    let said =
        said("ZOOM_CLIENT_ID=id\nZOOM_CLIENT_SECRET_FILE=/nowhere\nZOOM_SECRET_TOKEN=t0ken\n");
    assert_eq!(said.matches("ZOOM_CLIENT_SECRET").count(), 2, "{said}");
    assert!(said.contains("the file of ZOOM_CLIENT_SECRET_FILE cannot be read"), "{said}");
}

#[test]
fn a_credential_of_systemd_is_the_setting_of_its_name() {
    let credentials = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(credentials.path().join(name), text).unwrap();
    write("ZM_RTMS_SECRET", "s3cret\n");
    write("ZOOM_SECRET_TOKEN", "token");
    write("another-programs", "x");
    let settled = |content: &str| {
        let folder = folder(content);
        let source = Source::read(folder.path(), None, |name| {
            (name == value_files::CREDENTIALS).then(|| credentials.path().display().to_string())
        });
        source.settle(Config::to_serve(|name| source.lookup(name)))
    };
    // An empty line of the template is no value.
    let config = settled("ZOOM_CLIENT_ID=id\nZOOM_SECRET_TOKEN=\n").unwrap();
    assert_eq!(config.apps[0].client.secret.expose(), "s3cret");

    let said = settled("ZOOM_CLIENT_ID=id\nZOOM_CLIENT_SECRET=other\n").unwrap_err().to_string();
    let both = "ZOOM_CLIENT_SECRET and the credential ZM_RTMS_SECRET are both set";
    assert!(said.contains(both) && !said.contains("s3cret"), "{said}");
    let file = credentials.path().join("another-programs");
    let named = format!("ZOOM_CLIENT_ID=id\nZM_RTMS_SECRET_FILE={}\n", file.display());
    let said = settled(&named).unwrap_err().to_string();
    assert!(said.contains("ZM_RTMS_SECRET are both set: keep one"), "{said}");
}

#[test]
fn a_credentials_folder_that_is_not_there_is_no_mistake() {
    let folder = folder(APP);
    let source = Source::read(folder.path(), None, |name| {
        (name == value_files::CREDENTIALS).then(|| "/nowhere".to_owned())
    });
    source.settle(Config::to_serve(|name| source.lookup(name))).unwrap();
}

#[test]
fn the_name_of_a_settings_file_is_no_misspelt_setting() {
    let folder = folder("ZOOM_CLIENT_SECRET_FILE=/run/secret\nZOOM_CLIENT_SECRETS=x\n");
    let notes = Source::read(folder.path(), None, |_| None).notes();
    assert_eq!(notes.len(), 1, "{notes:?}");
}
