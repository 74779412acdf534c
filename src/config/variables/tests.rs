//! `.env.example` and the table in `docs/configuration.md` are what the table of settings yields. With `UPDATE_DOCS=1`
//! the tests write them.

use std::fmt::Write as _;

use super::{SECTIONS, Variable};
use crate::config::apps::{FIELDS, LeftOut};
use crate::config::reread::is_reread;
use crate::written::{agrees, part_agrees};

/// Columns of `.env.example`.
const WIDTH: usize = 118;

const HEAD: &str = "\
# rtmsd reads its settings from the environment and from this file (named .env, in the working directory); the
# environment takes precedence. Commented lines show the defaults. A $ is an ordinary character. Only the file's owner
# may write it: chmod go-w .env
#
# Written from the table of settings in src/config/variables: see CONTRIBUTING.md.
";

const DOCUMENT: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- settings:begin -->\n";
const END: &str = "<!-- settings:end -->";
const FIELDS_BEGIN: &str = "<!-- app fields:begin -->\n";
const FIELDS_END: &str = "<!-- app fields:end -->";
const REREAD_BEGIN: &str = "<!-- reread:begin -->\n";
const REREAD_END: &str = "<!-- reread:end -->";

#[test]
fn the_example_file_is_what_the_table_of_settings_yields() {
    agrees(".env.example", &example());
}

#[test]
fn the_documented_settings_are_what_the_table_of_settings_yields() {
    part_agrees(DOCUMENT, BEGIN, &tables(), END);
}

#[test]
fn the_documented_settings_that_need_no_restart_are_those_that_are_read_again() {
    part_agrees(DOCUMENT, REREAD_BEGIN, &reread(), REREAD_END);
}

#[test]
fn the_documented_fields_of_an_app_are_what_their_table_yields() {
    part_agrees(DOCUMENT, FIELDS_BEGIN, &fields(), FIELDS_END);
}

/// The variables that count without a restart, as lines of text.
fn reread() -> String {
    let names = super::variables().map(|variable| variable.name).filter(|name| is_reread(name));
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    comment(&names.join(", ")).replace("# ", "")
}

fn fields() -> String {
    let mut text = "\n| field | variable | left out |\n|---|---|---|\n".to_owned();
    for field in &FIELDS {
        let left_out = match field.left_out {
            LeftOut::Refused => "refused",
            LeftOut::RefusedWithoutEvents => "refused without `events_url`",
            LeftOut::Nothing => "nothing",
            LeftOut::Inherited | LeftOut::Shared => "the variable's value",
        };
        let _ = writeln!(text, "| `{}` | `{}` | {left_out} |", field.name, field.variable);
    }
    text
}

fn example() -> String {
    let mut text = HEAD.to_owned();
    for section in &SECTIONS {
        let title = format!("\n# --- {} ", section.title);
        let _ = writeln!(text, "{title:-<width$}", width = WIDTH + 1);
        for variable in section.variables {
            let _ = write!(text, "\n{}", comment(&help(variable, "")));
            let mark = if variable.is_required { "" } else { "#" };
            let _ = writeln!(text, "{mark}{}={}", variable.name, variable.default);
        }
    }
    text
}

fn tables() -> String {
    let mut text = String::new();
    for section in &SECTIONS {
        let _ = write!(
            text,
            "\n### {}\n\n| variable | default | meaning |\n|---|---|---|\n",
            section.title
        );
        for variable in section.variables {
            let default = match variable.default {
                "" if variable.is_required => "required".to_owned(),
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let _ = writeln!(text, "| `{}` | {default} | {} |", variable.name, help(variable, "`"));
        }
    }
    text
}

/// The help of a setting as sentences, with its other names in `quote`s.
fn help(variable: &Variable, quote: &str) -> String {
    let about = variable.about;
    let is_word =
        about.split(' ').next().is_some_and(|word| word.chars().all(|c| c.is_ascii_lowercase()));
    let length = if is_word { 1 } else { 0 };
    let mut help = format!("{}{}.", about[..length].to_uppercase(), &about[length..]);
    if !variable.aliases.is_empty() {
        let names: Vec<_> =
            variable.aliases.iter().map(|name| format!("{quote}{name}{quote}")).collect();
        let _ = write!(help, " Also read as {}.", names.join(", "));
    }
    help
}

/// A text as comment lines of at most [`WIDTH`] columns.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = "#".to_owned();
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}
