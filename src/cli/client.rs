//! The command line as a client of a daemon. Its commands are operations of the API: what they take comes from the API's
//! own document, and what they show from a table.

mod access;
mod api;
mod arguments;
mod cell;
mod daemon;
mod failure;
mod live;
mod output;
mod pages;
mod show;
mod style;
mod table;
mod tail;
mod verbs;
mod wait;

use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, Error, FromArgMatches, Subcommand};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::access::Access;
pub(super) use self::arguments::Call;
use self::arguments::{group_command, group_named};
use self::daemon::{Answer, Daemon, Request};
use self::failure::Failure;
use self::output::Output;
use self::pages::{Rows, read_rows};
use self::style::Style;
use self::tail::Tail;
use self::verbs::{Column, GROUPS, View};
use crate::model::escape_json;
use crate::stdio;

/// What stands for the id of the newest session.
const LATEST: &str = "latest";

impl Subcommand for Call {
    fn augment_subcommands(command: Command) -> Command {
        command.subcommands(GROUPS.iter().map(group_command))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        group_named(name).is_some()
    }
}

impl FromArgMatches for Call {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::of(matches).ok_or_else(|| Error::new(ErrorKind::MissingSubcommand))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Runs a command. The exit code is 0 when it is done, 1 when the daemon refused, 2 for a wrong command line or setting,
/// 3 when no daemon answered. `settings` is what a daemon in this folder would read.
pub(super) async fn run(
    call: &Call,
    settings: &dyn Fn(&str) -> Option<String>,
    stop: CancellationToken,
) -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let output = Output { style: Style::of_stdout(environment), is_json: call.is_json() };
    let work = perform(call, output, &environment, settings);
    let done = stop.run_until_cancelled(work).await.unwrap_or(Err(Failure::Interrupted));
    let Err(failure) = done else { return ExitCode::SUCCESS };
    if !failure.is_silent() {
        stdio::print_stderr(&match output.is_json {
            true => escape_json(&failure.to_json().to_string()),
            false => format!("rtmsd: {failure}"),
        });
    }
    ExitCode::from(failure.exit_code())
}

async fn perform(
    call: &Call,
    output: Output,
    environment: &dyn Fn(&str) -> Option<String>,
    settings: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Failure> {
    let mut request = call.request()?;
    let access = Access::find(&call.matches, environment, settings)?;
    if access.is_exposed() {
        output.note("the token goes over the network in clear text: use https");
    }
    let daemon = Daemon::new(access)?;
    resolve_latest(&daemon, &mut request).await?;
    match &call.verb.view {
        View::List { rows, columns } => {
            let read = read_rows(&daemon, &request, rows, call.limit()).await?;
            print_rows(&read, rows, columns, output)
        }
        View::Parts(parts) => {
            let answer = daemon.call(&request).await?;
            let text = |data: &Value| show::show(parts, data, output.style);
            print_answer(&answer, output, text)
        }
        View::Outcome => {
            let answer = daemon.call(&request).await?;
            print_answer(&answer, output, |data| outcome(&answer.message, data))
        }
        View::Start => start(&daemon, &request, call.wait_s(), output).await,
        View::Download => download(&daemon, request, output).await,
        View::Tail => {
            let session = session_of(&request).to_owned();
            Tail::new(&daemon, &session, output, &request.query).run().await
        }
    }
}

fn print_answer(
    answer: &Answer,
    output: Output,
    text: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    match output.is_json {
        true => output.json(&answer.data),
        false => output.text(&text(&answer.data)),
    }
}

fn print_rows(read: &Rows, name: &str, columns: &[Column], output: Output) -> Result<(), Failure> {
    if output.is_json {
        return output.json(&read.to_data(name));
    }
    output.text(&show::show_rows(&read.rows, columns, output.style))?;
    if let Some(next) = &read.next {
        output.note(&format!("there are more: --before {next} continues, --all shows every row"));
    }
    Ok(())
}

/// The message of an answer, and the id of what it is about.
fn outcome(message: &str, data: &Value) -> String {
    let id = data["session"]["id"].as_str().or_else(|| data["id"].as_str());
    let id = id.or_else(|| data["event_id"].as_str());
    let id = id.map(|id| format!(": {}", cell::plain(&Value::from(id))));
    format!("{message}{}\n", id.unwrap_or_default())
}

async fn start(
    daemon: &Daemon,
    request: &Request,
    wait_s: Option<u64>,
    output: Output,
) -> Result<(), Failure> {
    let answer = daemon.call(request).await?;
    let Some(limit) = wait_s.map(Duration::from_secs) else {
        return print_answer(&answer, output, |data| outcome(&answer.message, data));
    };
    if !output.is_json {
        output.text(&outcome(&answer.message, &answer.data))?;
    }
    let data = wait::until_live(daemon, session_of(request), limit).await?;
    match output.is_json {
        true => output.json(&data),
        false => output.text("the session is live\n"),
    }
}

/// Passes a transcript on as it comes; with `--json` without the envelope.
async fn download(daemon: &Daemon, mut request: Request, output: Output) -> Result<(), Failure> {
    let is_named = request.query.iter().any(|(name, _)| name == "format");
    if output.is_json {
        request.query = vec![("format".to_owned(), "json".to_owned())];
        return output.json(&daemon.call(&request).await?.data);
    }
    if !is_named {
        request.query.push(("format".to_owned(), "txt".to_owned()));
    }
    daemon.download(&request, |piece| output.file(piece)).await
}

/// The session in the path of a request, `api/v1/sdk/sessions/{id}/…`.
fn session_of(request: &Request) -> &str {
    request.path.get(4).map_or("", String::as_str)
}

/// Replaces `latest` by the id of the newest session.
async fn resolve_latest(daemon: &Daemon, request: &mut Request) -> Result<(), Failure> {
    if request.path.get(3).is_none_or(|part| part != "sessions") || session_of(request) != LATEST {
        return Ok(());
    }
    let path = request.path[..4].to_vec();
    let list = Request { method: "GET".to_owned(), path, ..Request::default() };
    let newest = read_rows(daemon, &list, "sessions", Some(1)).await?.rows.pop();
    let id = newest.and_then(|session| Some(session["id"].as_str()?.to_owned()));
    let none = || Failure::NotReached("there is no session yet".to_owned());
    request.path[4] = id.ok_or_else(none)?;
    Ok(())
}
