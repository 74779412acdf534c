//! `--config` and `rtmsd config dump`, with the compiled binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::kit::{API_TOKEN, Api, Home, eventually};
use crate::support::process::{Ended, Process};

const OTHER_TOKEN: &str = "another-token-of-the-tests";

/// A settings file, in a folder of its own.
struct SettingsFile {
    folder: TempDir,
    path: PathBuf,
}

impl SettingsFile {
    fn of(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = Self { path: folder.path().join("rtmsd.toml"), folder };
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    async fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Ended {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let path = self.path.display().to_string();
        let words = [words, &["--config", &path]].concat();
        Process::spawn(&words, &variables, self.folder.path()).ended().await
    }
}

/// The variables of a home as a settings file with these tokens.
fn settings(home: &Home, tokens: &str) -> String {
    let variables = home.variables().iter().filter(|(name, _)| name != "API_TOKENS");
    let lines = variables.map(|(name, value)| format!("{} = '{value}'\n", name.to_lowercase()));
    format!("{}api_tokens = [{tokens}]\n", lines.collect::<String>())
}

async fn is_accepted(api: Api, token: &str) -> bool {
    let headers = [("authorization", format!("Bearer {token}"))];
    let head = crate::support::client::head(
        "GET",
        "/api/v1/sdk/sessions",
        &[(headers[0].0, &headers[0].1)],
    );
    crate::support::client::exchange(api.0, &head).await.status == 200
}

#[tokio::test]
async fn a_daemon_runs_from_a_file_alone_and_reads_it_again_on_sighup() {
    let home = Home::sqlite();
    let file = SettingsFile::of(&settings(&home, &format!("'tests:{API_TOKEN}:admin'")));
    let path = file.path.display().to_string();
    let process = Process::spawn(&["serve", "--config", &path], &[], file.folder.path());
    let listens = eventually("it listens", async || process.logged("rtmsd listens")).await;
    let api = Api(listens["address"].as_str().unwrap().parse().unwrap());
    assert!(is_accepted(api, API_TOKEN).await);
    assert!(!is_accepted(api, OTHER_TOKEN).await);

    file.write(&settings(&home, &format!("'tests:{OTHER_TOKEN}:admin'")));
    process.signal("HUP");
    eventually("the other token counts", async || {
        is_accepted(api, OTHER_TOKEN).await.then_some(())
    })
    .await;
    assert!(!is_accepted(api, API_TOKEN).await);

    file.write("prot = 1\n");
    process.signal("HUP");
    let refused = eventually("the mistake is logged", async || {
        process.logged("a setting has a mistake; all settings stay as they are")
    })
    .await;
    assert!(refused["problem"].as_str().unwrap().contains("did you mean port?"), "{refused}");
    assert!(is_accepted(api, OTHER_TOKEN).await);
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

#[tokio::test]
async fn check_reads_the_file_and_lists_its_mistakes_with_lines() {
    let app = "[zoom]\nclient_id = 'id'\nclient_secret = 'hunter2'\nsecret_token = 'hunter2'\n";
    let file = SettingsFile::of(app);
    let good = file.run(&["check"], &[]).await;
    assert_eq!(good.code(), 0, "{good:?}");
    file.write(&format!("port = 'hunter2'\nmedia_typs = ['audio']\n{app}"));
    let wrong = file.run(&["check"], &[]).await;
    assert_eq!(wrong.code(), 2, "{wrong:?}");
    assert!(
        wrong.err.contains("PORT: must be") && wrong.err.contains("rtmsd.toml line 1)"),
        "{wrong:?}"
    );
    assert!(
        wrong.err.contains("line 2 sets media_typs") && wrong.err.contains("media_types?"),
        "{wrong:?}"
    );
    assert!(!wrong.err.contains("hunter2"), "{wrong:?}");
    let over = file.run(&["check"], &[("PORT", "3001")]).await;
    assert!(!over.err.contains("PORT: must be"), "{over:?}");
    let missing = Process::spawn(&["check", "--config", "no.toml"], &[], file.folder.path());
    let missing = missing.ended().await;
    assert_eq!(missing.code(), 2);
    assert!(missing.err.contains("--config: no.toml cannot be read"), "{missing:?}");
}

#[tokio::test]
async fn a_dump_shows_every_source_and_no_secret_and_can_be_read_back() {
    let file = SettingsFile::of("[zoom]\nclient_secret = 'hunter2-file'\nclient_id = 'id'\n");
    fs::write(file.folder.path().join("token"), "hunter2-token\n").unwrap();
    fs::write(file.folder.path().join(".env"), "ZOOM_SECRET_TOKEN_FILE=token\nMAX_STREAMS=7\n")
        .unwrap();
    let database = ("DATABASE_URL", "postgres://rtmsd:hunter2@db/rtmsd");
    let dump = file.run(&["config", "dump"], &[database]).await;
    assert_eq!(dump.code(), 0, "{dump:?}");
    assert!(!format!("{dump:?}").contains("hunter2"), "{dump:?}");
    for line in [
        "database_url = \"postgres://***@db/rtmsd\"  # environment".to_owned(),
        "max_streams = \"7\"  # .env line 2".to_owned(),
        format!("zoom_client_id = \"id\"  # {} line 3", file.path.display()),
        "zoom_secret_token = \"***\"  # the file of ZOOM_SECRET_TOKEN_FILE, .env line 1".to_owned(),
        "# port = \"3000\"  # default".to_owned(),
    ] {
        assert!(dump.out.lines().any(|shown| shown == line), "{line}\n{}", dump.out);
    }
    let json = file.run(&["config", "dump", "--json"], &[database]).await;
    let settings: Vec<Value> = serde_json::from_str(&json.out).unwrap();
    let port = settings.iter().find(|setting| setting["name"] == "PORT").unwrap();
    assert_eq!((&port["value"], &port["from"]), (&"3000".into(), &"default".into()));

    // A dump is a settings file; only its secrets are missing.
    let copy = SettingsFile::of(&dump.out);
    let read = copy.run(&["check"], &[]).await;
    assert_eq!(read.code(), 2);
    assert!(
        read.err.contains("ZOOM_CLIENT_SECRET: ") && read.err.contains("has a redacted value"),
        "{read:?}"
    );
    assert!(!read.err.contains("no setting"), "{read:?}");
}
