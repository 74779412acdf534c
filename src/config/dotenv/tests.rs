//! `.env` files: quoting, `$`, comments and mistakes.

use super::*;

fn parsed(text: &str) -> DotEnv {
    DotEnv::parse(text.as_bytes(), &|name| name == "HOME")
}

/// The value of a `.env` with one line.
fn value(written: &str) -> Option<String> {
    parsed(&format!("TOKEN={written}\n")).value("TOKEN").map(str::to_owned)
}

fn problem(written: &str) -> Option<&'static str> {
    let file = parsed(&format!("# a comment\nTOKEN={written}\n"));
    let problem = file.problems.first()?;
    assert_eq!((problem.line, problem.name.as_deref()), (2, Some("TOKEN")), "{written}");
    Some(problem.problem)
}

#[test]
fn a_dollar_is_a_character() {
    for (written, read) in [
        ("lab$ecret-token", "lab$ecret-token"),
        ("\"lab$ecret-token\"", "lab$ecret-token"),
        ("'lab$ecret-token'", "lab$ecret-token"),
        ("'${PUBLIC_URL}$HOME'", "${PUBLIC_URL}$HOME"),
        ("\"a\\${HOME}\"", "a${HOME}"),
        ("$", "$"),
        ("a$$b$", "a$$b$"),
        ("$1$(x)", "$1$(x)"),
        ("x # costs $HOME", "x"),
    ] {
        assert_eq!(value(written).as_deref(), Some(read), "{written}");
    }
}

#[test]
fn a_dollar_that_may_name_a_variable_is_refused() {
    for written in ["${HOME}", "${x}", "a${", "$HOME", "\"$HOME/x\"", "a$HOME-b"] {
        assert_eq!(problem(written), Some(REFERENCE), "{written}");
    }
    let file = parsed("PASSWORD=x\nTOKEN=a$PASSWORD\nOTHER=$LATER\nLATER=x\n");
    assert_eq!(file.problems.len(), 1);
    assert_eq!(file.problems[0].line, 2);
    assert_eq!(file.value("OTHER"), Some("$LATER"));
}

#[test]
fn the_form_of_zooms_samples_is_read() {
    for (written, read) in [
        (" \"yyyyy\"", "yyyyy"),
        ("=\"key\"", "=key"),
        ("'{\"IAD\":\"http://127.0.0.1:4200\"}'", "{\"IAD\":\"http://127.0.0.1:4200\"}"),
        ("a=https;b=c==;d", "a=https;b=c==;d"),
        ("x#y", "x#y"),
        ("", ""),
        (" # nothing", ""),
        ("x  ", "x"),
        ("x\r", "x"),
    ] {
        assert_eq!(value(written).as_deref(), Some(read), "{written:?}");
    }
    assert_eq!(parsed("export NAME = 'x'").value("NAME"), Some("x"));
}

#[test]
fn an_unreadable_line_is_reported_with_its_name() {
    assert_eq!(problem("two words"), Some(UNREADABLE));
    assert_eq!(problem("'open"), Some(OPEN_QUOTE));
    assert_eq!(problem("\"open"), Some(OPEN_QUOTE));
    let file = DotEnv::parse(b"A=1\nTOKEN=\xff\xfe\nB=2\n", &|_| false);
    assert_eq!(file.problems[0].problem, NOT_UTF8);
    assert_eq!((file.problems[0].line, file.value("B")), (2, Some("2")));
    let file = parsed("A=1\n\u{feff}B=2\nno name\n");
    let problems: Vec<_> = file.problems.iter().map(|it| (it.line, it.problem)).collect();
    assert_eq!(problems, [(2, MARKED), (3, UNREADABLE)]);
}

#[test]
fn a_value_in_quotes_may_have_several_lines_and_an_open_quote_hides_no_other_mistake() {
    let file = parsed("A='[{\n\"x\": 1}]'\nB=2\n");
    assert_eq!(file.value("A"), Some("[{\n\"x\": 1}]"));
    assert_eq!((file.value("B"), file.line("B")), (Some("2"), Some(3)));
    let file = parsed("A='open\nB=2\nC=a b\n");
    let problems: Vec<_> = file.problems.iter().map(|it| (it.line, it.problem)).collect();
    assert_eq!(problems, [(1, OPEN_QUOTE), (3, UNREADABLE)]);
    assert_eq!(file.value("B"), Some("2"));
}

#[test]
fn a_backslash_outside_quotes_is_refused() {
    for written in ["C:\\data", "a\\\\b", "a\\$HOME", "a\\nb", "two\\ words", "x\\", "'a'\\b"] {
        assert_eq!(problem(written), Some(BACKSLASH), "{written}");
    }
    for (written, read) in
        [("'C:\\data'", "C:\\data"), ("\"a\\\\b\"", "a\\b"), ("x # C:\\data", "x")]
    {
        assert_eq!(value(written).as_deref(), Some(read), "{written}");
    }
}

#[test]
fn a_second_value_of_a_name_is_refused_and_values_are_not_shown() {
    let file = parsed("A=s3cret1\nB=x\nA=s3cret2\nA=s3cret3\n");
    let problems: Vec<_> =
        file.problems.iter().map(|it| (it.line, it.name.as_deref(), it.problem)).collect();
    assert_eq!(problems, [(3, Some("A"), REPEATED), (4, Some("A"), REPEATED)]);
    assert!(!format!("{file:?}").contains("s3cret"));
}

#[test]
fn a_name_may_come_again_with_the_same_value_or_with_none() {
    let file = parsed("A=\nA=x\nA='x'\nA=\n");
    assert_eq!(file.problems, []);
    assert_eq!((file.value("A"), file.line("A")), (Some("x"), Some(2)));
}

#[test]
fn a_file_is_read_only_if_root_or_the_own_user_owns_it() {
    use std::os::unix::fs::chown;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::fs::write(&path, "A=1\n").unwrap();
    let owner = || path.metadata().unwrap().uid();
    if owner() == ROOT {
        assert!(DotEnv::read(&path, 1000, &|_| false).is_ok());
        chown(&path, Some(1234), None).unwrap();
    }
    let own = owner();
    assert_eq!(DotEnv::read(&path, own, &|_| false).unwrap().value("A"), Some("1"));
    let problem = DotEnv::read(&path, own + 1, &|_| false).unwrap_err();
    let advice = format!("run chown {} .env", own + 1);
    assert!(problem.contains(&format!("belongs to user {own}")), "{problem}");
    assert!(problem.ends_with(&advice), "{problem}");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic_and_single_quoted_text_is_literal(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
        text in "[ -&(-\\[\\]-~]{0,40}",
    ) {
        let file = DotEnv::parse(&bytes, &|_| true);
        for problem in &file.problems {
            proptest::prop_assert!(problem.line >= 1);
        }
        proptest::prop_assert_eq!(value(&format!("'{text}'")), Some(text));
    }
}
