//! The commands of the client for clap, made from the operations of the API, and the requests that their arguments make.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Map, Value};

use super::access;
use super::api::{Field, FieldForm, Operation, Parameter, Place};
use super::daemon::Request;
use super::failure::Failure;
use super::verbs::{GROUPS, Group, Verb, View};

const LIMIT: &str = "limit";
const ALL: &str = "all";
const JSON: &str = "json";
const WAIT: &str = "wait";
/// How many rows a list has without `--limit`.
const DEFAULT_ROWS: &str = "50";
/// How long `--wait` waits, in seconds.
const DEFAULT_WAIT_S: &str = "120";
/// Fields of the live socket that are not for people: only text is shown, as it comes.
const HIDDEN_FROM_TAIL: [&str; 6] =
    ["media", "format", "policy", "batch_ms", "encoding", "sample_rate"];

/// The command of a group. Its own commands are made when it is used, or listed.
pub(super) fn group_command(group: &Group) -> Command {
    Command::new(group.name).about(group.about).defer(add_verbs)
}

fn add_verbs(command: Command) -> Command {
    let group = group_named(command.get_name()).expect("a command of the table of groups");
    let verbs = group.verbs.iter().map(|verb| verb_command(group, verb));
    command.subcommand_required(true).arg_required_else_help(true).subcommands(verbs)
}

pub(super) fn group_named(name: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.name == name)
}

fn verb_command(group: &'static Group, verb: &'static Verb) -> Command {
    let operation = Operation::named(verb.operation);
    let parameters = operation.parameters.iter().filter(|it| is_offered(verb, it));
    let parameters = parameters.map(|parameter| parameter_argument(group, parameter));
    let fields = operation.fields.iter().filter_map(field_argument);
    Command::new(verb.name)
        .about(operation.summary.clone())
        .args(parameters.chain(fields))
        .args(own_arguments(verb))
        .args(access::arguments())
}

/// Whether a parameter of the operation is an argument of the command.
fn is_offered(verb: &Verb, parameter: &Parameter) -> bool {
    let name = parameter.name.as_str();
    match verb.view {
        // It counts rows here, and not those of a page.
        View::List { .. } => name != LIMIT,
        View::Tail => !HIDDEN_FROM_TAIL.contains(&name),
        _ => true,
    }
}

/// The arguments that the API does not have.
fn own_arguments(verb: &Verb) -> Vec<Arg> {
    let json = Arg::new(JSON).long(JSON).action(ArgAction::SetTrue);
    let mut own = vec![json.help("Print the API's data as JSON")];
    match verb.view {
        View::List { .. } => {
            let limit = Arg::new(LIMIT).long(LIMIT).value_name("ROWS");
            let limit =
                limit.value_parser(value_parser!(u32).range(1..)).default_value(DEFAULT_ROWS);
            own.push(limit.help("How many rows at most"));
            let all = Arg::new(ALL).long(ALL).action(ArgAction::SetTrue).conflicts_with(LIMIT);
            own.push(all.help("Every row"));
        }
        View::Start => {
            let wait = Arg::new(WAIT).long(WAIT).value_name("SECONDS").num_args(0..=1);
            let wait = wait.require_equals(true).default_missing_value(DEFAULT_WAIT_S);
            own.push(wait.value_parser(value_parser!(u64).range(1..=86_400)).help(format!(
                "Wait until the session is live [without a value: {DEFAULT_WAIT_S} s]"
            )));
        }
        _ => {}
    }
    own
}

fn parameter_argument(group: &Group, parameter: &Parameter) -> Arg {
    let argument = Arg::new(parameter.name.clone()).help(parameter.about.clone());
    match parameter.place {
        Place::Path => {
            let name = match parameter.name.as_str() {
                "id" => group.id.to_owned(),
                other => other.to_ascii_uppercase(),
            };
            let about = path_about(&name, &parameter.about);
            argument.help(about).value_name(name).required(true)
        }
        Place::Query if parameter.is_flag => {
            argument.long(option_name(&parameter.name)).action(ArgAction::SetTrue)
        }
        Place::Query => {
            argument.long(option_name(&parameter.name)).value_name(value_name(&parameter.name))
        }
    }
}

fn path_about(name: &str, about: &str) -> String {
    match (name, about) {
        ("SESSION", _) => "The id of the session, or `latest`".to_owned(),
        (name, "") => format!("The id of the {}", name.to_ascii_lowercase()),
        (_, about) => about.to_owned(),
    }
}

/// None for a field that always has the same value.
fn field_argument(field: &Field) -> Option<Arg> {
    let argument = Arg::new(field.name.clone()).long(option_name(&field.name));
    let argument = argument.required(field.is_required);
    match field.form {
        FieldForm::Constant(_) => None,
        FieldForm::Text => {
            Some(argument.help(field.about.clone()).value_name(value_name(&field.name)))
        }
        FieldForm::Object => {
            let about = &field.about;
            let help = format!(
                "{about}. A JSON object, or NAME=VALUE (once for each, a.b=VALUE for b in a)"
            );
            Some(argument.help(help).value_name("NAME=VALUE").action(ArgAction::Append))
        }
    }
}

/// What stands for a value in the help.
fn value_name(name: &str) -> String {
    match name {
        "q" => "TEXT".to_owned(),
        name => name.to_ascii_uppercase(),
    }
}

fn option_name(name: &str) -> String {
    name.replace('_', "-")
}

/// A command that was entered.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Call {
    pub(super) verb: &'static Verb,
    pub(super) matches: ArgMatches,
}

impl Call {
    /// None if this is no command of the client.
    pub(super) fn of(matches: &ArgMatches) -> Option<Self> {
        let (name, matches) = matches.subcommand()?;
        let group = group_named(name)?;
        let (name, matches) = matches.subcommand()?;
        let verb = group.verbs.iter().find(|verb| verb.name == name)?;
        Some(Self { verb, matches: matches.clone() })
    }

    pub(super) fn is_json(&self) -> bool {
        self.matches.get_flag(JSON)
    }

    /// How many rows a list has at most; none for all.
    pub(super) fn limit(&self) -> Option<usize> {
        let limit = self.matches.get_one::<u32>(LIMIT).copied().unwrap_or(u32::MAX);
        (!self.matches.get_flag(ALL)).then_some(limit as usize)
    }

    /// How long to wait for the session, in seconds.
    pub(super) fn wait_s(&self) -> Option<u64> {
        self.matches.get_one::<u64>(WAIT).copied()
    }

    /// The request that the arguments describe.
    pub(super) fn request(&self) -> Result<Request, Failure> {
        let operation = Operation::named(self.verb.operation);
        let mut request = Request { method: operation.method, ..Request::default() };
        request.path = path_parts(&operation.path, |name| self.text(name).unwrap_or_default());
        let query = operation.parameters.iter().filter(|it| it.place == Place::Query);
        for parameter in query.filter(|parameter| is_offered(self.verb, parameter)) {
            request.query.extend(self.query_value(parameter));
        }
        if !operation.fields.is_empty() {
            request.body = Some(Value::Object(self.body(&operation.fields)?));
        }
        Ok(request)
    }

    fn query_value(&self, parameter: &Parameter) -> Option<(String, String)> {
        let value = match parameter.is_flag {
            true => self.matches.get_flag(&parameter.name).then(|| "true".to_owned()),
            false => self.text(&parameter.name),
        };
        Some((parameter.name.clone(), value?))
    }

    fn body(&self, fields: &[Field]) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        for field in fields {
            let value = match &field.form {
                FieldForm::Constant(value) => Some(value.clone()),
                FieldForm::Text => self.text(&field.name).map(Value::String),
                FieldForm::Object => self.object(&field.name)?,
            };
            body.extend(value.map(|value| (field.name.clone(), value)));
        }
        Ok(body)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.matches.get_one::<String>(name).cloned()
    }

    fn object(&self, name: &str) -> Result<Option<Value>, Failure> {
        let Some(texts) = self.matches.get_many::<String>(name) else { return Ok(None) };
        let mut object = Map::new();
        for text in texts {
            add_fields(&mut object, text)
                .map_err(|problem| Failure::Usage(format!("--{}: {problem}", option_name(name))))?;
        }
        Ok(Some(Value::Object(object)))
    }
}

/// The parts of a path, with a value for each name in braces.
fn path_parts(path: &str, value: impl Fn(&str) -> String) -> Vec<String> {
    let part = |part: &str| match part.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
        Some(name) => value(name),
        None => part.to_owned(),
    };
    path.split('/').filter(|part| !part.is_empty()).map(part).collect()
}

/// Adds the fields of a JSON object, or the one of `name=value`.
fn add_fields(object: &mut Map<String, Value>, text: &str) -> Result<(), String> {
    if text.trim_start().starts_with('{') {
        let fields: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| format!("is not JSON (column {})", error.column()))?;
        object.extend(fields);
        return Ok(());
    }
    let (name, value) = text.split_once('=').ok_or("must be a JSON object or NAME=VALUE")?;
    let mut parts = name.split('.');
    let last = parts.next_back().unwrap_or(name);
    let mut object = object;
    for part in parts {
        let below = object.entry(part).or_insert_with(|| Value::Object(Map::new()));
        object = below.as_object_mut().ok_or_else(|| format!("{part} has a value already"))?;
    }
    object.insert(last.to_owned(), value_of(value));
    Ok(())
}

fn value_of(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(words: &[&str]) -> Result<Call, clap::Error> {
        let command = Command::new("rtmsd").no_binary_name(true);
        let matches =
            command.subcommands(GROUPS.iter().map(group_command)).try_get_matches_from(words)?;
        Ok(Call::of(&matches).expect("a command of the client"))
    }

    fn request(words: &[&str]) -> Request {
        call(words).unwrap_or_else(|error| panic!("{words:?}: {error}")).request().unwrap()
    }

    #[test]
    fn every_command_takes_what_its_operation_takes() {
        let mut command = Command::new("rtmsd").subcommands(GROUPS.iter().map(group_command));
        command.build();
        for group in &GROUPS {
            let of_group = command.find_subcommand(group.name).unwrap();
            for verb in group.verbs {
                let of_verb = of_group.find_subcommand(verb.name).unwrap();
                let names: Vec<&str> =
                    of_verb.get_arguments().map(|it| it.get_id().as_str()).collect();
                for needed in ["json", "url", "token_file"] {
                    assert!(names.contains(&needed), "{} {}: {names:?}", group.name, verb.name);
                }
                assert!(!names.contains(&"token"), "a token in the list of processes");
                let operation = Operation::named(verb.operation);
                for parameter in operation.parameters.iter().filter(|it| is_offered(verb, it)) {
                    assert!(names.contains(&&*parameter.name), "{} {parameter:?}", verb.name);
                }
            }
        }
        command.debug_assert();
    }

    #[test]
    fn filters_become_the_query_and_ids_the_path() {
        let list = request(&["sessions", "list", "--status", "live,ended", "--q", "crm 42"]);
        assert_eq!((&*list.method, list.path.join("/")), ("GET", "api/v1/sdk/sessions".to_owned()));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(list.query, [pair("status", "live,ended"), pair("q", "crm 42")]);
        let revoke = request(&["installations", "revoke", "i1", "--delete-data"]);
        assert_eq!((&*revoke.method, &*revoke.path[4]), ("DELETE", "i1"));
        assert_eq!(revoke.query, [pair("delete_data", "true")]);
        let resend = request(&["deliveries", "resend", "e1", "../d"]);
        assert_eq!(resend.path[4..], ["e1", "deliveries", "../d", "resend"]);
    }

    #[test]
    fn a_body_has_the_constants_the_fields_and_objects_in_both_forms() {
        let create = request(&[
            "sessions",
            "create",
            "--meeting-id",
            "912 3456",
            "--metadata",
            "crm=42",
            "--metadata",
            r#"{"tags": ["a"]}"#,
            "--media",
            "types=audio,transcript",
            "--media",
            "audio.codec=opus",
            "--media",
            "buffer_data=true",
        ]);
        assert_eq!(
            create.body.unwrap(),
            json!({
                "platform": "zoom", "meeting_id": "912 3456", "metadata": {"crm": "42", "tags": ["a"]},
                "media": {"types": "audio,transcript", "audio": {"codec": "opus"}, "buffer_data": true},
            })
        );
        assert_eq!(request(&["sessions", "start", "s1"]).body.unwrap(), json!({}));
        for wrong in ["audio", "{", "a.b=1"] {
            let words = ["sessions", "start", "s1", "--media", "a=1", "--media", wrong];
            let failure = call(&words).unwrap().request().unwrap_err();
            assert!(failure.to_string().starts_with("--media: "), "{failure}");
        }
    }

    #[test]
    fn limits_and_waits_have_defaults() {
        let list = |words: &[&str]| call(&[&["sessions", "list"], words].concat()).unwrap().limit();
        assert_eq!(
            (list(&[]), list(&["--limit", "7"]), list(&["--all"])),
            (Some(50), Some(7), None)
        );
        let start = |words: &[&str]| call(&[&["sessions", "start", "s1"], words].concat());
        assert_eq!(start(&[]).unwrap().wait_s(), None);
        assert_eq!(start(&["--wait"]).unwrap().wait_s(), Some(120));
        assert_eq!(start(&["--wait=5"]).unwrap().wait_s(), Some(5));
        assert!(start(&["--wait=0"]).is_err() && start(&["--wait", "5"]).is_err());
        assert!(call(&["sessions", "list", "--token", "x"]).is_err());
    }
}
