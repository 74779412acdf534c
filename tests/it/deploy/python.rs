//! The Python of the tests, which reads YAML.

use std::process::Command;

use serde_json::Value;

/// Runs a program in the folder of this repository; returns what it prints.
pub(super) fn run_python(program: &str, arguments: &[&str]) -> String {
    let python = super::root().join("target/python/bin/python");
    let mut command = Command::new(python);
    command.current_dir(super::root()).arg("-c").arg(program).args(arguments);
    let output = command.output().expect("the Python of the tests is missing: run tests/setup");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// A file of YAML or JSON.
pub(super) fn yaml(path: &str) -> Value {
    // Keys become texts: YAML reads the `on` of a workflow as true.
    let text = run_python(
        "import json, sys, yaml\nprint(json.dumps(yaml.safe_load(open(sys.argv[1]))))",
        &[path],
    );
    serde_json::from_str(&text).expect(path)
}
