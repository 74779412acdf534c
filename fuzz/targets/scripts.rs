//! Whatever is given to the simulator as a script: it is read, or the place of its mistake is named.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmsd::simulator::Script;

fuzz_target!(|text: &str| {
    if let Err(error) = Script::parse(text) {
        assert!(!error.to_string().is_empty(), "a refusal says why");
    }
});
