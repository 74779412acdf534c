//! What a program asks for, and what Zoom echoes: a JSON text of each, separated by a line. What is taken is what
//! Zoom is asked for, and asking again for it changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmsd::model::MediaSet;
use rtmsd::model::params::{Params, ParamsOverrides};
use rtmsd::rtms::params::Effective;

fuzz_target!(|text: &str| {
    let (asked, echoed) = text.split_once('\n').unwrap_or((text, ""));
    let mut params = Params::default();
    if let Ok(overrides) = serde_json::from_str::<ParamsOverrides>(asked) {
        match Params::resolve(&params, &overrides) {
            Ok(resolved) => params = resolved,
            Err(mistakes) => assert!(!mistakes.is_empty(), "a refusal says why"),
        }
    }
    let again = Params::resolve(&params, &ParamsOverrides::default());
    assert_eq!(again.as_ref(), Ok(&params), "what was taken is legal");
    let _ = params.media_params(MediaSet::ALL);
    if let Ok(echoed) = serde_json::from_str(echoed) {
        let _ = Effective::read(&params, MediaSet::ALL, &echoed).differences(&params);
    }
});
