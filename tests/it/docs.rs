//! The documents: every relative link and anchor leads somewhere, every path and command that they show exists.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

#[test]
fn every_link_and_anchor_of_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    let mut count = 0;
    for document in documents() {
        let folder = document.parent().expect("a document is in a folder");
        for link in links(&text(&document)) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { document.clone() } else { folder.join(file) };
            let leads =
                target.exists() && (anchor.is_empty() || anchors(&text(&target)).contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", document.display()));
            }
            count += 1;
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(count > 60, "{count}");
}

#[test]
fn every_command_that_the_documents_show_exists() {
    let mut unknown = Vec::new();
    let mut count = 0;
    for document in documents() {
        for line in commands(&text(&document)) {
            match is_known(&line) {
                None => {}
                Some(true) => count += 1,
                Some(false) => unknown.push(format!("{}: {line}", document.display())),
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(count > 25, "{count}");
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let text = text(&root().join("docs/architecture.md"));
    let paths: Vec<&str> = prose(&text)
        .iter()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|span| span.contains('/') && !span.contains(' '))
        .collect();
    let missing: Vec<&&str> = paths
        .iter()
        .filter(|path| {
            !["", "src", "src/sinks"].iter().any(|above| root().join(above).join(path).exists())
        })
        .filter(|path| **path != "fuzz/corpus")
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(paths.len() > 40, "{}", paths.len());
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(document: &Path) -> String {
    fs::read_to_string(document).unwrap_or_default()
}

fn documents() -> Vec<PathBuf> {
    let names = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "examples/README.md",
        "clients/python/README.md",
    ];
    let mut documents: Vec<PathBuf> = names.map(|name| root().join(name)).into();
    let docs = fs::read_dir(root().join("docs")).expect("there are documents");
    let docs = docs.map(|entry| entry.expect("an entry can be read").path());
    documents
        .extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    assert!(documents.len() > 12, "{documents:?}");
    documents
}

/// The lines outside code blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut is_code = false;
    text.lines()
        .filter(|line| {
            let is_fence = line.starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
        .collect()
}

/// The targets of relative links.
fn links(text: &str) -> Vec<String> {
    let text = prose(text).join("\n");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).filter(|target| !target.contains("://")).collect()
}

/// The anchors of a document's headings, as GitHub forms them.
fn anchors(text: &str) -> HashSet<String> {
    let headings = prose(text).into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// The lines of shell blocks, and the code in sentences.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("\n```sh\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    let lines = blocks.flat_map(|(block, _)| block.lines());
    let joined = prose(text).join(" ");
    let spans = joined.split('`').skip(1).step_by(2);
    lines.chain(spans).map(str::to_owned).collect()
}

/// Whether a command of ours exists; none when it is another program's.
fn is_known(line: &str) -> Option<bool> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_assignment =
        |word: &&&str| word.split_once('=').is_some_and(|(name, _)| !name.starts_with('-'));
    let words = &words[words.iter().take_while(is_assignment).count()..];
    match words {
        ["rtmsd", rest @ ..] | ["cargo", "run", "--", rest @ ..] => Some(is_ours(rest)),
        ["cargo", "bench", "--bench", name, ..] => {
            Some(root().join("benches").join(name).with_extension("rs").exists())
        }
        ["cargo", "+nightly", "fuzz", "run", name, ..] => {
            Some(root().join("fuzz/targets").join(name).with_extension("rs").exists())
        }
        [script, ..] if ["tests/", ".ci/", "deploy/"].iter().any(|at| script.starts_with(at)) => {
            Some(root().join(script).exists())
        }
        _ => None,
    }
}

/// Whether `rtmsd` has this subcommand and these options.
fn is_ours(words: &[&str]) -> bool {
    let mut program = rtmsd::cli::Cli::command();
    // Some commands are made when they are used.
    program.build();
    let (mut command, mut words) = (&program, words);
    while let [name, rest @ ..] = words
        && !name.starts_with('-')
        && command.has_subcommands()
    {
        match command.find_subcommand(name) {
            Some(found) => (command, words) = (found, rest),
            None => return false,
        }
    }
    let mut options = words.iter().filter_map(|word| word.strip_prefix("--"));
    options.all(|name| {
        let name = name.split('=').next().unwrap_or(name);
        let is_built_in = ["help", "version"].contains(&name);
        is_built_in || command.get_arguments().any(|argument| argument.get_long() == Some(name))
    })
}
