//! `rtmsd config dump`: the settings in effect, without secrets, as a settings file.

use std::fmt::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Settings, print_page, wrong_settings};
use crate::config::{Dumped, dump};
use crate::model::escape_json;
use crate::stdio;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every setting with where its value comes from; secrets are shown as ***
    Dump(DumpArgs),
}

#[derive(Debug, Args)]
pub(super) struct DumpArgs {
    /// Print an array of objects instead of a settings file
    #[arg(long)]
    json: bool,
}

/// Prints the settings, also if values have mistakes: `rtmsd check` finds those. Fails if a file cannot be read.
pub(super) fn run(command: &ConfigCommand, source: &Settings) -> ExitCode {
    let ConfigCommand::Dump(args) = command;
    for note in source.notes() {
        stdio::print_stderr(&format!("rtmsd: {note}"));
    }
    if let Err(errors) = source.settle(Ok(())) {
        return wrong_settings(&errors);
    }
    let dumped = dump(source);
    let text = if args.json { as_json(&dumped) } else { as_file(&dumped) };
    print_page(&text)
}

/// A settings file with these values. Defaults are comments.
fn as_file(dumped: &[Dumped]) -> String {
    let mut text = String::new();
    for setting in dumped {
        let (key, value) = (setting.name.to_ascii_lowercase(), quoted(&setting.value));
        // Writing to a `String` cannot fail.
        let _ = match &setting.origin {
            Some(origin) => writeln!(text, "{key} = {value}  # {origin}"),
            None => writeln!(text, "# {key} = {value}  # default"),
        };
    }
    text
}

/// A basic string of TOML: JSON's escapes are among its own.
fn quoted(value: &str) -> String {
    escape_json(&Value::from(value).to_string())
}

fn as_json(dumped: &[Dumped]) -> String {
    let setting = |setting: &Dumped| {
        let origin = setting.origin.as_deref().unwrap_or("default");
        json!({ "name": setting.name, "value": setting.value, "from": origin })
    };
    let settings: Vec<Value> = dumped.iter().map(setting).collect();
    format!("{}\n", escape_json(&format!("{:#}", Value::from(settings))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_a_settings_file_with_its_defaults_as_comments() {
        let setting = |name, value: &str, origin: Option<&str>| Dumped {
            name,
            value: value.to_owned(),
            origin: origin.map(str::to_owned),
        };
        let dumped = [
            setting("NATS_URL", "nats://***@\"n\"\u{7f}\n", Some("environment")),
            setting("PORT", "3000", None),
        ];
        let text = as_file(&dumped);
        assert_eq!(
            text,
            "nats_url = \"nats://***@\\\"n\\\"\\u007f\\n\"  # environment\n# port = \"3000\"  # default\n"
        );
        let read: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(read["nats_url"].as_str(), Some("nats://***@\"n\"\u{7f}\n"));
    }
}
