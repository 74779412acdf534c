//! Whatever is given as a capture: it is read and checked, or the mistake is named.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmsd::capture::block::{BlockKind, compress};
use rtmsd::capture::reader::Reader;
use rtmsd::sessions::check::check_capture;

fuzz_target!(|lines: &[u8]| {
    // Compressed here: the fuzzer would not find a checksum.
    let file = compress(BlockKind::Wire, lines);
    for file in [&*file, lines] {
        let checked = Reader::open(file).and_then(|mut reader| check_capture(&mut reader, |_| {}));
        if let Err(error) = checked {
            assert!(!error.to_string().is_empty(), "a refusal says why");
        }
    }
});
