//! Sealed texts open with their ring and in their cell only.

use proptest::prelude::*;

use super::*;

const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const B: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const HOME: Cell<'_> = Cell { table: "installations", row: "row1", column: "access_token" };

fn ring(text: &str) -> KeyRing {
    KeyRing::parse(text).unwrap()
}

fn problems(text: &str) -> Vec<(usize, &'static str)> {
    let mistakes = KeyRing::parse(text).unwrap_err();
    mistakes.into_iter().map(|mistake| (mistake.position, mistake.problem)).collect()
}

#[test]
fn a_sealed_text_opens_in_its_cell() {
    let ring = ring(A);
    let sealed = ring.seal(HOME, "t0ken");
    assert!(sealed.starts_with(&ring.prefix()) && !sealed.contains("t0ken"));
    assert_eq!(*ring.open(HOME, &sealed).unwrap(), "t0ken");
    assert_ne!(ring.seal(HOME, "t0ken"), sealed, "a nonce is never used twice");
}

#[test]
fn a_sealed_text_opens_in_no_other_table_row_or_column() {
    let ring = ring(A);
    let sealed = ring.seal(HOME, "t0ken");
    for elsewhere in [
        Cell { table: "oauth_states", ..HOME },
        Cell { row: "row2", ..HOME },
        Cell { column: "refresh_token", ..HOME },
        // The same text when it is only written one part after the other.
        Cell { row: "row1a", column: "ccess_token", ..HOME },
    ] {
        assert_eq!(ring.open(elsewhere, &sealed), Err(OpenError::Forged), "{elsewhere:?}");
    }
}

#[test]
fn the_first_key_seals_and_every_key_opens() {
    let old = ring(A).seal(HOME, "t0ken");
    let both = ring(&format!("{B},{A}"));
    assert_eq!(*both.open(HOME, &old).unwrap(), "t0ken");
    let new = both.seal(HOME, "t0ken");
    assert_eq!(*ring(B).open(HOME, &new).unwrap(), "t0ken");
    assert_eq!(ring(A).open(HOME, &new), Err(OpenError::UnknownKey));
}

#[test]
fn keys_are_hex_or_base64_of_32_bytes_and_every_mistake_is_reported() {
    assert!(KeyRing::parse(&format!(" {A} , {B} ")).is_ok());
    let short = &A[2..];
    let text = format!("{short},{A},s3cret!,{A},,{B}");
    let expected = [
        (1, "has another length than 32 bytes"),
        (3, "is neither hex nor base64"),
        (4, "is the same as an earlier one"),
        (5, "has another length than 32 bytes"),
    ];
    assert_eq!(problems(&text), expected);
    assert_eq!(problems("").len(), 1);
}

#[test]
fn keys_are_not_printed() {
    let printed = format!("{:?}", ring(A));
    assert!(!printed.contains(&A[..8]), "{printed}");
}

#[test]
fn derived_keys_differ_by_purpose_and_key() {
    let both = ring(&format!("{A},{B}"));
    let (one, two) = (both.derived("state"), both.derived("verifier"));
    assert_eq!(one.len(), 2);
    assert!(one[0] != one[1] && one[0] != two[0]);
    assert_eq!(one[1], ring(B).derived("state")[0]);
}

#[test]
fn texts_of_any_length_are_refused_without_a_panic() {
    let ring = ring(A);
    let sealed = ring.seal(HOME, "");
    for end in 0..sealed.len() {
        assert!(ring.open(HOME, &sealed[..end]).is_err());
    }
    for bad in ["v2.x.y", "v1.x", "v1..", "...", "v1.é.é"] {
        assert_eq!(ring.open(HOME, bad), Err(OpenError::Malformed), "{bad}");
    }
}

proptest! {
    #[test]
    fn every_text_comes_back(plain in ".*", row in ".*") {
        let (ring, cell) = (ring(A), Cell { row: &row, ..HOME });
        prop_assert_eq!(&*ring.open(cell, &ring.seal(cell, &plain)).unwrap(), &plain);
    }

    #[test]
    fn a_changed_byte_anywhere_makes_a_sealed_text_invalid(plain in ".{0,40}", at: prop::sample::Index, other: u8) {
        let ring = ring(A);
        let sealed = ring.seal(HOME, &plain);
        let mut changed = sealed.clone().into_bytes();
        let index = at.index(changed.len());
        prop_assume!(changed[index] != other);
        changed[index] = other;
        let Ok(changed) = String::from_utf8(changed) else { return Ok(()) };
        prop_assert!(ring.open(HOME, &changed).is_err());
    }

    #[test]
    fn anything_else_is_refused_without_a_panic(text in ".*") {
        prop_assert!(ring(A).open(HOME, &text).is_err());
    }
}

#[test]
fn a_key_of_zeros_is_a_mistake() {
    let zeros = "00".repeat(32);
    let problem = "is all zeros: make one with openssl rand -hex 32";
    assert_eq!(problems(&format!("{},{zeros}", "07".repeat(32))), [(2, problem)]);
}
