//! A corrupted message costs neither its link nor any other data.

use super::driver::Driver;
use super::{ALL, AUDIO_FRAME, LINE, SIGNALING};
use crate::model::{Lost, Medium, Unreadable};
use crate::rtms::message::tests::spoiled::{self, Spoiled};
use crate::rtms::stream::Input;

const GOOD: [(&str, &str); 2] = [(AUDIO_FRAME, "audio frame"), (LINE, "entry transcript")];

/// Messages that change the stream itself even when corrupted: its end, and reports of lost links.
fn ends_something(text: &str) -> bool {
    text.contains(r#""msg_type":8"#) || text.contains(r#""event_type":7"#)
}

#[test]
fn a_spoiled_message_ends_no_link_and_costs_nobody_else() {
    let mut driver = Driver::unified(&Medium::ALL);
    let spoiled = spoiled::all().into_iter().filter(|spoiled| !ends_something(&spoiled.text));
    for (place, Spoiled { number, text, costs }) in spoiled.enumerate() {
        let link = if (14..=18).contains(&number) || number == 4 { ALL } else { SIGNALING };
        driver.hear(link, &text);
        let short: String = text.chars().take(400).collect();
        let said = driver.said().join(", ");
        let is_news = |said: &str| {
            ["drop", "close", "is down", "finished"].iter().any(|word| said.contains(word))
        };
        assert!(!is_news(&said), "{said} after {short}");
        let unreadable = driver.stream.take_unreadable();
        assert_eq!(unreadable.total(), u64::from(costs.is_some()), "{short}\n{unreadable:?}");
        let is_lost = unreadable.kinds().any(|kind| kind.lost == Lost::Message);
        assert_eq!(is_lost, costs == Some(Lost::Message), "{short}");
        for (good, becomes) in GOOD {
            driver.hear(ALL, good);
            assert_eq!(driver.said(), [becomes], "after {short}");
        }
        let join = format!(
            r#"{{"msg_type":6,"event":{{"event_type":3,"participants":[{{"user_id":{}}}]}}}}"#,
            100_000_000 + place
        );
        driver.hear(SIGNALING, &join);
        assert_eq!(driver.said(), ["entry participant_joined"], "after {short}");
        driver.forget();
    }
}

/// A lost frame is missing from the account of its medium and of no other.
#[test]
fn a_lost_message_is_accounted_to_its_medium() {
    for (text, media) in [
        (r#"{"msg_type":14,"content":{"data":null}}"#, &[Medium::Audio][..]),
        (r#"{"msg_type":17,"content":{}}"#, &[Medium::Transcript]),
        (r#"{"msg_type":18}"#, &[Medium::Chat]),
        (r#"{"msg_type":15,"content":{"user_id":1,"data":"AA"#, &[Medium::Video]),
        // The message may have carried any of these.
        (
            "\u{fffd}\u{fffd}\u{fffd}",
            &[Medium::Audio, Medium::Video, Medium::Transcript, Medium::Chat],
        ),
        (r#"{"msg_type":4}"#, &[]),
        // The stream does not want this medium.
        (r#"{"msg_type":16,"content":{}}"#, &[]),
    ] {
        let wanted = [Medium::Audio, Medium::Video, Medium::Transcript, Medium::Chat];
        let mut driver = Driver::unified(&wanted);
        driver.hear(ALL, text);
        assert_eq!(driver.unreadable_media(), media, "{text}");
        driver.hear(SIGNALING, text);
        assert_eq!(driver.unreadable_media(), [], "{text}");
    }
}

#[test]
fn a_message_that_is_too_large_costs_its_medium_a_frame_and_no_link() {
    let audio = r#"{"msg_type":14,"content":{"user_id":7,"data":"AAAA"#;
    let late = r#"{"content":{"user_id":7,"data":"AAAA"#;
    for (head, number, media) in [
        (audio, 14, &[Medium::Audio][..]),
        (r#"{"msg_type":6,"event":{"event_type":3,"#, 6, &[]),
        // The type is in the part that was discarded: the message may have carried either medium.
        (late, 0, &[Medium::Audio, Medium::Transcript]),
    ] {
        let mut driver = Driver::unified(&[Medium::Audio, Medium::Transcript]);
        driver.give(Input::TooLarge(ALL, head.to_owned().into()));
        assert_eq!(driver.said(), [] as [&str; 0], "{head}");
        assert_eq!(driver.unreadable_media(), media, "{head}");
        driver.give(Input::TooLarge(SIGNALING, head.to_owned().into()));
        assert_eq!(driver.unreadable_media(), [], "{head}");
        let kind = Unreadable::new(number, Lost::Message, "too_large");
        assert_eq!(driver.stream.take_unreadable().count(&kind), 2, "{head}");
    }
}
