//! Code samples of operations, as the extension `x-codeSamples` that API references show.

use serde_json::{Map, Value, json};

/// How deep a body is described; what is deeper is left out.
const MAX_DEPTH: usize = 4;

/// The samples of an operation: for curl, JavaScript and Python. `$URL` and `$TOKEN` are the reader's.
pub(super) fn samples(path: &str, method: &str, needs_token: bool, body: Option<&Value>) -> Value {
    let method = method.to_uppercase();
    json!([
        { "lang": "Shell", "label": "curl", "source": curl(path, &method, needs_token, body) },
        { "lang": "JavaScript", "label": "JavaScript", "source": javascript(path, &method, needs_token, body) },
        { "lang": "Python", "label": "Python", "source": python(path, &method, needs_token, body) },
    ])
}

fn curl(path: &str, method: &str, needs_token: bool, body: Option<&Value>) -> String {
    let mut lines = vec![match method {
        "GET" => format!("curl -s \"$URL{path}\""),
        _ => format!("curl -s -X {method} \"$URL{path}\""),
    }];
    if needs_token {
        lines.push("-H \"Authorization: Bearer $TOKEN\"".to_owned());
    }
    if let Some(body) = body {
        lines.push("-H 'Content-Type: application/json'".to_owned());
        lines.push(format!("-d '{body}'"));
    }
    lines.join(" \\\n  ")
}

fn javascript(path: &str, method: &str, needs_token: bool, body: Option<&Value>) -> String {
    let mut options = vec![format!("method: \"{method}\"")];
    let mut headers = Vec::new();
    if needs_token {
        headers.push("authorization: `Bearer ${TOKEN}`".to_owned());
    }
    if let Some(body) = body {
        headers.push("\"content-type\": \"application/json\"".to_owned());
        options.push(format!("body: JSON.stringify({body:#})").replace('\n', "\n  "));
    }
    if !headers.is_empty() {
        options.insert(1, format!("headers: {{ {} }}", headers.join(", ")));
    }
    let options = options.join(",\n  ");
    format!(
        "const answer = await fetch(`${{URL}}{path}`, {{\n  {options},\n}});\nconsole.log(await answer.json());"
    )
}

fn python(path: &str, method: &str, needs_token: bool, body: Option<&Value>) -> String {
    let mut arguments = vec![format!("\"{method}\""), format!("f\"{{URL}}{path}\"")];
    if needs_token {
        arguments.push("headers={\"authorization\": f\"Bearer {TOKEN}\"}".to_owned());
    }
    if let Some(body) = body {
        arguments.push(format!("json={}", python_literal(body)));
    }
    let arguments = arguments.join(", ");
    format!("import requests\n\nanswer = requests.request({arguments})\nprint(answer.json())")
}

/// JSON as Python writes it.
fn python_literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(python_literal).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                format!("{}: {}", Value::from(name.as_str()), python_literal(value))
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// The smallest body that a schema allows: its required fields.
pub(super) fn example(schema: &Value, schemas: &Map<String, Value>) -> Value {
    example_at(schema, schemas, MAX_DEPTH)
}

fn example_at(schema: &Value, schemas: &Map<String, Value>, depth: usize) -> Value {
    if let Some(named) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next())
        && let Some(schema) = schemas.get(named)
        && depth > 0
    {
        return example_at(schema, schemas, depth - 1);
    }
    let given = [&schema["examples"][0], &schema["const"], &schema["enum"][0], &schema["default"]];
    if let Some(given) = given.into_iter().find(|given| !given.is_null()) {
        return given.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") if depth > 0 => {
            let required = schema["required"].as_array().into_iter().flatten();
            let field = |name: &str| {
                (name.to_owned(), example_at(&schema["properties"][name], schemas, depth - 1))
            };
            required.filter_map(Value::as_str).map(field).collect::<Map<_, _>>().into()
        }
        Some("array") if depth > 0 => json!([example_at(&schema["items"], schemas, depth - 1)]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("string") => json!("…"),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(samples: &Value, index: usize) -> &str {
        samples[index]["source"].as_str().unwrap()
    }

    #[test]
    fn samples_send_the_token_and_the_body() {
        let body = json!({ "name": "crm", "force": true });
        let samples = samples("/api/v1/x/{id}", "post", true, Some(&body));
        assert_eq!(
            source(&samples, 0),
            "curl -s -X POST \"$URL/api/v1/x/{id}\" \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  \
             -H 'Content-Type: application/json' \\\n  -d '{\"force\":true,\"name\":\"crm\"}'"
        );
        assert!(source(&samples, 1).contains("fetch(`${URL}/api/v1/x/{id}`"));
        assert!(source(&samples, 2).contains("json={\"force\": True, \"name\": \"crm\"}"));
    }

    #[test]
    fn a_read_without_a_token_is_one_line() {
        assert_eq!(
            source(&samples("/health/live", "get", false, None), 0),
            "curl -s \"$URL/health/live\""
        );
    }

    #[test]
    fn an_example_has_the_required_fields() {
        let schemas = json!({ "Kind": { "enum": ["a", "b"] } });
        let schema = json!({ "type": "object", "required": ["kind", "many", "text"], "properties": {
            "kind": { "$ref": "#/components/schemas/Kind" }, "text": { "type": ["string", "null"] },
            "many": { "type": "array", "items": { "type": "integer" } }, "other": { "type": "string" },
        }});
        let expected = json!({ "kind": "a", "many": [1], "text": "…" });
        assert_eq!(example(&schema, schemas.as_object().unwrap()), expected);
    }
}
