//! The operations of the API, as its OpenAPI document describes them: what a command takes, and which request it makes.

use std::sync::LazyLock;

use serde_json::Value;

use crate::http::openapi;

/// The document; the path of Zoom's webhooks in it does not matter here.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| openapi::build_document("/webhook"));

/// One method of a path.
#[derive(Debug)]
pub(super) struct Operation {
    /// In upper case.
    pub method: String,
    /// With names in braces, such as `/api/v1/sdk/sessions/{id}`.
    pub path: String,
    pub summary: String,
    /// Those of the path and of the query.
    pub parameters: Vec<Parameter>,
    /// The fields of the body.
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub name: String,
    pub place: Place,
    pub about: String,
    /// Whether it is true or false, and false if it is left out.
    pub is_flag: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
}

#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub about: String,
    pub is_required: bool,
    pub form: FieldForm,
}

/// What a field of a body holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FieldForm {
    Text,
    Object,
    /// Always this value.
    Constant(Value),
}

impl Operation {
    /// The operation with this `operationId`.
    ///
    /// # Panics
    /// When the API has none; a test finds that of every command.
    pub(super) fn named(id: &str) -> Self {
        let paths = DOCUMENT["paths"].as_object().expect("the document has paths");
        let of_path = |(path, methods): (&String, &Value)| {
            let methods = methods.as_object()?;
            let (method, about) = methods.iter().find(|(_, it)| it["operationId"] == id)?;
            Some(Self::read(path, method, about))
        };
        paths.iter().find_map(of_path).unwrap_or_else(|| panic!("the API has no operation {id}"))
    }

    fn read(path: &str, method: &str, about: &Value) -> Self {
        let parameters = about["parameters"].as_array().into_iter().flatten();
        let body = &about["requestBody"]["content"]["application/json"]["schema"];
        Self {
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            summary: text_of(&about["summary"]),
            parameters: parameters.filter_map(Parameter::read).collect(),
            fields: body["$ref"].as_str().map(fields_of).unwrap_or_default(),
        }
    }
}

impl Parameter {
    /// None for a header: a command line has no use for one.
    fn read(about: &Value) -> Option<Self> {
        let place = match about["in"].as_str() {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            _ => return None,
        };
        Some(Self {
            name: text_of(&about["name"]),
            place,
            about: text_of(&about["description"]),
            is_flag: about["schema"]["type"] == "boolean",
        })
    }
}

/// A schema by its reference, such as `#/components/schemas/Start`.
fn schema(reference: &str) -> &'static Value {
    DOCUMENT.pointer(reference.trim_start_matches('#')).expect("a reference leads to a schema")
}

fn fields_of(reference: &str) -> Vec<Field> {
    let schema = schema(reference);
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|it| it == name));
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.map(|(name, about)| Field::read(name, resolved(about), is_required(name))).collect()
}

impl Field {
    fn read(name: &str, about: &Value, is_required: bool) -> Self {
        let form = match (&about["const"], &about["type"]) {
            (Value::Null, kind) if kind == "object" => FieldForm::Object,
            (Value::Null, _) => FieldForm::Text,
            (constant, _) => FieldForm::Constant(constant.clone()),
        };
        Self { name: name.to_owned(), about: text_of(&about["description"]), is_required, form }
    }
}

/// The schema behind a reference, or the one itself.
pub(super) fn resolved(about: &'static Value) -> &'static Value {
    about["$ref"].as_str().map_or(about, schema)
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The schema of the `data` of an operation's answer.
#[cfg(test)]
pub(super) fn answer_schema(id: &str) -> &'static Value {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let methods = paths.values().flat_map(|methods| methods.as_object().unwrap().values());
    let about = methods.into_iter().find(|about| about["operationId"] == id).unwrap();
    let answers = about["responses"].as_object().unwrap().iter();
    let data = answers.filter(|(status, _)| status.starts_with('2')).find_map(|(_, answer)| {
        answer["content"]["application/json"]["schema"]["properties"]["data"]["$ref"].as_str()
    });
    schema(data.unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_its_request_its_parameters_and_its_fields() {
        let list = Operation::named("listSessions");
        assert_eq!((&*list.method, &*list.path), ("GET", "/api/v1/sdk/sessions"));
        let status = list.parameters.iter().find(|it| it.name == "status").unwrap();
        assert_eq!((status.place, status.is_flag), (Place::Query, false));
        assert!(status.about.contains("statuses"), "{status:?}");
        let revoke = Operation::named("removeInstallation");
        let place = |name: &str| revoke.parameters.iter().find(|it| it.name == name).unwrap();
        assert_eq!((place("id").place, place("force").is_flag), (Place::Path, true));
        let create = Operation::named("createSession");
        let field = |name: &str| create.fields.iter().find(|it| it.name == name).unwrap();
        assert_eq!(field("platform").form, FieldForm::Constant("zoom".into()));
        assert_eq!(field("media").form, FieldForm::Object);
        assert!(field("meeting_id").is_required && !field("product").is_required);
    }
}
