//! Whatever is posted to the webhook: the body and both headers, separated by lines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmsd::model::AppName;
use rtmsd::secret::Secret;
use rtmsd::zoom::event;
use rtmsd::zoom::signature::{SignatureHeaders, WebhookKey};

const NOW_MS: i64 = 1_732_313_171_881;

fuzz_target!(|request: &[u8]| {
    let mut parts = request.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (timestamp, signature, body) = (part(), part(), part());
    let key = WebhookKey::new(&Secret::new("demoSecretToken01".to_owned()));
    let headers =
        SignatureHeaders { timestamp: Some(timestamp), signature: Some(signature) };
    let forged = key.check(headers, body, NOW_MS, 300);
    assert!(forged.is_err(), "nobody guesses a signature");
    let _ = event::parse(body, &AppName::default(), NOW_MS);
    let _ = event::parse(request, &AppName::default(), NOW_MS);
});
