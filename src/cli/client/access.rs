//! Which daemon a command asks, and with which token.
//!
//! The URL, the token and what decides how they travel come from the command line and the environment alone: a `.env` in
//! a folder that somebody happens to be in must not decide where a token goes. `PORT` and `DATA_DIR` may come from it,
//! because they only lead to this machine.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, value_parser};
use url::{Host, Url};

use super::failure::Failure;
use crate::config::{self, ConfigErrors};
use crate::net::{Network, Resolver};
use crate::seal::key_file;
use crate::secret::Secret;
use crate::tls;

const URL: &str = "url";
const TOKEN_FILE: &str = "token_file";

/// A daemon's address, the token for it, and the way there.
pub(super) struct Access {
    /// With a slash at the end of its path.
    pub url: Url,
    pub token: Secret<String>,
    pub network: Network,
}

/// The options that name the daemon.
pub(super) fn arguments() -> [Arg; 2] {
    let url = Arg::new(URL).long("url").value_name("URL").help(
        "The daemon's address [default: RTMSD_URL, or 127.0.0.1 and the daemon's own port, 3000]",
    );
    let file = Arg::new(TOKEN_FILE).long("token-file").value_name("FILE");
    let file = file.value_parser(value_parser!(PathBuf)).help(
        "A file with the API token [default: RTMSD_TOKEN, RTMSD_TOKEN_FILE, or api-token in the DATA_DIR of a daemon on \
         this machine]",
    );
    [url, file]
}

impl Access {
    /// Finds the daemon. `environment` is the environment alone, `settings` what a daemon in this folder would read.
    pub(super) fn find(
        arguments: &ArgMatches,
        environment: &dyn Fn(&str) -> Option<String>,
        settings: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let set = |name: &str| {
            environment(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let url = match arguments.get_one::<String>(URL).cloned().or_else(|| set("RTMSD_URL")) {
            Some(text) => parse_url(&text)?,
            None => local_url(settings)?,
        };
        let token = match arguments.get_one::<PathBuf>(TOKEN_FILE) {
            Some(path) => token_in(path)?,
            None => token_of(&set, &url, settings)?,
        };
        check_token(&token)?;
        Ok(Self { url, token, network: network(&set)? })
    }

    /// Whether the token would cross a network in clear text.
    pub(super) fn is_exposed(&self) -> bool {
        self.url.scheme() == "http" && !is_loopback(&self.url)
    }
}

/// Parses the address of a daemon. A path is that of a proxy in front of it.
fn parse_url(text: &str) -> Result<Url, Failure> {
    let wrong = |problem: &str| Failure::Usage(format!("the URL of the daemon {problem}"));
    let form = "must be http:// or https:// and a host, such as https://rtms.example.com";
    let mut url = Url::parse(text).map_err(|_| wrong(form))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong(form));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must have no user and no password: the token goes into RTMSD_TOKEN"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must have no query and no fragment"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// The daemon on this machine. Always on loopback, whatever `HOST` says.
fn local_url(settings: &dyn Fn(&str) -> Option<String>) -> Result<Url, Failure> {
    let (port, _) = config::local_daemon(settings).map_err(wrong_settings)?;
    parse_url(&format!("http://127.0.0.1:{port}"))
}

fn token_of(
    set: &dyn Fn(&str) -> Option<String>,
    url: &Url,
    settings: &dyn Fn(&str) -> Option<String>,
) -> Result<Secret<String>, Failure> {
    match (set("RTMSD_TOKEN"), set("RTMSD_TOKEN_FILE")) {
        (Some(_), Some(_)) => Err(Failure::Usage(
            "RTMSD_TOKEN and RTMSD_TOKEN_FILE are both set: keep one of them".to_owned(),
        )),
        (Some(token), None) => Ok(Secret::new(token)),
        (None, Some(path)) => token_in(Path::new(&path)),
        // The token of this machine's daemon goes nowhere else.
        (None, None) if is_loopback(url) => local_token(settings),
        (None, None) => Err(Failure::Usage(
            "no token: set RTMSD_TOKEN, or name a file with --token-file".to_owned(),
        )),
    }
}

fn token_in(path: &Path) -> Result<Secret<String>, Failure> {
    let unreadable = |error| {
        let path = path.display();
        Failure::Usage(format!("cannot read the token in {path}: {error}"))
    };
    let text = config::read_value(path).map_err(unreadable)?;
    Ok(Secret::new(text.trim().to_owned()))
}

/// The token that the first start of the daemon on this machine generated.
fn local_token(settings: &dyn Fn(&str) -> Option<String>) -> Result<Secret<String>, Failure> {
    let advice =
        "set RTMSD_TOKEN to one of the daemon's API_TOKENS, or name a file with --token-file";
    let (_, folder) = config::local_daemon(settings).map_err(wrong_settings)?;
    match key_file::read_secret(&folder, key_file::API_TOKEN) {
        Ok(Some(token)) => Ok(token),
        Ok(None) => {
            let path = folder.join(key_file::API_TOKEN);
            let problem = format!("no token, and there is no {}: {advice}", path.display());
            Err(Failure::Usage(problem))
        }
        Err(error) => Err(Failure::Usage(format!("{error}: {advice}"))),
    }
}

/// A token that no header can carry must not be printed by the library that notices it.
fn check_token(token: &Secret<String>) -> Result<(), Failure> {
    let text = token.expose();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Failure::Usage(
        "the token is empty or has a character that is not printable ASCII: copy it again"
            .to_owned(),
    ))
}

/// The way to the daemon: the proxy and the certificate authority of the environment.
fn network(set: &dyn Fn(&str) -> Option<String>) -> Result<Network, Failure> {
    let ca_file = set("CA_FILE").map(PathBuf::from);
    let tls = tls::client_config(ca_file.as_deref())
        .map_err(|error| Failure::Usage(format!("CA_FILE: {error}")))?;
    let proxy = config::proxy_rules(set).map_err(wrong_settings)?;
    Ok(Network::new(tls, Resolver::system(), proxy))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.') == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn wrong_settings(errors: ConfigErrors) -> Failure {
    Failure::Usage(errors.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Command;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn find(
        words: &[&str],
        environment: &[(&str, &str)],
        settings: &[(&str, &str)],
    ) -> Result<Access, Failure> {
        let command = Command::new("rtmsd").no_binary_name(true).args(arguments());
        let arguments = command.try_get_matches_from(words).unwrap();
        let value = |set: &[(&str, &str)], name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Access::find(&arguments, &|name| value(environment, name), &|name| value(settings, name))
    }

    fn problem(words: &[&str], environment: &[(&str, &str)]) -> String {
        let failure = find(words, environment, &[]).map(|_| ()).unwrap_err();
        assert_eq!(failure.exit_code(), 2, "{failure}");
        failure.to_string()
    }

    #[test]
    fn the_command_line_comes_before_the_environment_and_the_port_of_the_settings_last() {
        let token = ("RTMSD_TOKEN", TOKEN);
        let at = |words: &[&str], environment: &[(&str, &str)]| {
            let settings = [("HOST", "10.0.0.1"), ("PORT", "3001")];
            find(words, environment, &settings).unwrap().url.to_string()
        };
        let url = ("RTMSD_URL", "https://rtms.example.com");
        assert_eq!(at(&["--url", "http://[::1]:1/x"], &[token, url]), "http://[::1]:1/x/");
        assert_eq!(at(&[], &[token, url]), "https://rtms.example.com/");
        assert_eq!(at(&[], &[token]), "http://127.0.0.1:3001/");
        let default = find(&[], &[token], &[]).unwrap();
        assert_eq!(default.url.to_string(), "http://127.0.0.1:3000/");
        assert_eq!(default.token.expose(), TOKEN);
    }

    #[test]
    fn the_settings_of_a_folder_decide_neither_the_url_nor_the_token() {
        let settings = [
            ("RTMSD_URL", "https://evil.example.com"),
            ("RTMSD_TOKEN", "x"),
            ("HTTPS_PROXY", "::"),
        ];
        let access = find(&[], &[("RTMSD_TOKEN", TOKEN)], &settings).unwrap();
        assert_eq!(access.url.host_str(), Some("127.0.0.1"));
        assert_eq!(access.token.expose(), TOKEN);
    }

    #[test]
    fn the_token_of_this_machine_is_used_for_this_machine_only() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        let generated = "ab".repeat(32);
        let with = |words: &[&str]| find(words, &[], &[("DATA_DIR", &data)]);
        let missing = with(&[]).map(|_| ()).unwrap_err().to_string();
        assert!(missing.contains("api-token") && missing.contains("RTMSD_TOKEN"), "{missing}");
        fs::write(folder.path().join("api-token"), &generated).unwrap();
        assert_eq!(*with(&[]).unwrap().token.expose(), generated);
        assert_eq!(*with(&["--url", "http://localhost:9"]).unwrap().token.expose(), generated);
        for elsewhere in
            ["https://rtms.example.com", "http://localhost.example.com", "http://10.0.0.1"]
        {
            let failure = with(&["--url", elsewhere]).map(|_| ()).unwrap_err();
            assert!(failure.to_string().starts_with("no token"), "{failure}");
        }
    }

    #[test]
    fn a_token_may_be_in_a_file_and_is_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, format!("{TOKEN}\n")).unwrap();
        let file = path.display().to_string();
        let other = ("RTMSD_TOKEN", "another-token-of-a-test");
        let named = find(&["--token-file", &file], &[other], &[]).unwrap();
        assert_eq!(named.token.expose(), TOKEN);
        let of_variable = find(&[], &[("RTMSD_TOKEN_FILE", &file)], &[]).unwrap();
        assert_eq!(of_variable.token.expose(), TOKEN);
        assert!(problem(&[], &[other, ("RTMSD_TOKEN_FILE", &file)]).contains("both set"));
        assert!(problem(&["--token-file", "/no/such"], &[]).contains("/no/such"));
        let odd = problem(&[], &[("RTMSD_TOKEN", "s3cret\u{a0}token")]);
        assert!(odd.contains("printable") && !odd.contains("s3cret"), "{odd}");
    }

    #[test]
    fn a_url_that_is_no_daemons_is_refused_and_a_password_in_it_not_repeated() {
        let token = [("RTMSD_TOKEN", TOKEN)];
        for url in ["rtms.example.com", "ftp://x", "http://", "https://x/?a=b", "https://x/#a"] {
            assert!(problem(&["--url", url], &token).contains("the URL of the daemon"), "{url}");
        }
        let said = problem(&["--url", "https://ana:s3cret@x"], &token);
        assert!(said.contains("RTMSD_TOKEN") && !said.contains("s3cret"), "{said}");
        let said = problem(&[], &[token[0], ("HTTPS_PROXY", "ftp://u:s3cret@p")]);
        assert!(said.contains("HTTPS_PROXY") && !said.contains("s3cret"), "{said}");
    }

    #[test]
    fn a_token_in_clear_text_over_a_network_is_noticed() {
        let is_exposed =
            |url: &str| find(&["--url", url], &[("RTMSD_TOKEN", TOKEN)], &[]).unwrap().is_exposed();
        assert!(is_exposed("http://10.0.0.1:3000") && is_exposed("http://rtms.example.com"));
        assert!(!is_exposed("https://rtms.example.com") && !is_exposed("http://127.0.0.1"));
    }
}
