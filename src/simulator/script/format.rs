//! Builds a script from its JSON: resolves names, sorts the timeline and checks it (pure).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::file::{EndItem, EngagementItem, File, Item, PersonItem, SayItem};
use super::{
    Chat, Cue, Ending, EngagementEvent, MAX_SCRIPT_BYTES, Person, Script, ScriptError, Utterance,
    Voice, end_reason,
};
use crate::model::Product;
use crate::rtms::message::event_type::{CONTACT_CENTER_FIRST, CONTACT_CENTER_LAST};
use crate::simulator::control::MeetingAction;

const MAX_PEOPLE: usize = 1_000;
const MAX_ITEMS: usize = 100_000;
/// The longest script: one day.
const MAX_MS: u32 = 24 * 3_600_000;
/// The pause after the last cue of a script that starts again.
const PAUSE_BEFORE_AGAIN_MS: u32 = 1_000;
/// The largest meeting number: Zoom's have 11 digits, and further meetings count up from it.
const MAX_MEETING_ID: u64 = 99_999_000_000;

/// Audio clips by name, each read once.
type Clips = HashMap<String, Arc<[u8]>>;
/// Reads an audio file; `None` if audio files are not read.
pub(super) type FindClip<'a> = &'a dyn Fn(&str) -> Result<Option<Vec<u8>>, ScriptError>;

pub(super) fn parse_script(text: &str, find_clip: FindClip<'_>) -> Result<Script, ScriptError> {
    if text.len() > MAX_SCRIPT_BYTES {
        return Err(ScriptError::TooLong);
    }
    let file: File = serde_json::from_str(text)?;
    let product = parse_product(&file.product)?;
    let mut parser = TimelineParser::new(&file.people, product, find_clip)?;
    require(file.timeline.len() <= MAX_ITEMS, "timeline", "has too many items")?;
    for (index, item) in file.timeline.iter().enumerate() {
        parser.add_item(item).map_err(|error| error.at(&format!("timeline[{index}]")))?;
    }
    let mut cues = parser.cues;
    // A stable sort: cues at the same time happen in the order of the file.
    cues.sort_by_key(|(at_ms, _)| *at_ms);
    let mut utterances = parser.utterances;
    sort_utterances(&mut utterances, &mut cues);
    check_presence(&cues, &utterances, &parser.chats, &file.people)?;
    Ok(Script {
        title: file.title,
        product,
        meeting_id: meeting_id(&file.meeting_id)?,
        account_id: file.account_id,
        host: file.host,
        ending: parse_ending(file.end.as_ref(), &cues, product)?,
        people: file.people.iter().map(|item| parse_person(item, product)).collect(),
        utterances: utterances.into(),
        chats: parser.chats.into(),
        engagements: parser.engagements.into(),
        cues: cues.into(),
        quirks: file.quirks,
    })
}

fn parse_person(item: &PersonItem, product: Product) -> Person {
    let zoom_user_id = item.zoom_user_id.clone();
    let person = Person { zoom_user_id, ..Person::new(item.user_id, &item.name) };
    match product.names_channels() {
        true => person.on_channel(item.channel_id.as_ref().unwrap_or(&item.key)),
        false => person,
    }
}

fn parse_product(name: &str) -> Result<Product, ScriptError> {
    match name {
        "session" => Ok(Product::VideoSdk),
        name => Product::parse(name).ok_or_else(|| {
            invalid_script("product", "must be meeting, webinar, session, contact_center or phone")
        }),
    }
}

fn meeting_id(text: &str) -> Result<u64, ScriptError> {
    let number = text.parse().ok().filter(|number| (1..=MAX_MEETING_ID).contains(number));
    number.ok_or_else(|| invalid_script("meeting_id", "must be a string of at most 11 digits"))
}

fn parse_ending(
    end: Option<&EndItem>,
    cues: &[(u32, Cue)],
    product: Product,
) -> Result<Ending, ScriptError> {
    let last_ms = cues.last().map_or(0, |(at_ms, _)| *at_ms);
    let Some(end) = end else {
        return Ok(Ending::Again { length_ms: last_ms + PAUSE_BEFORE_AGAIN_MS });
    };
    require(end.at_ms <= MAX_MS, "end.at_ms", "is more than a day")?;
    // Cues after the end would never be played.
    require(end.at_ms >= last_ms, "end.at_ms", "is before something in the timeline")?;
    let stop_reason = end.stop_reason.unwrap_or(end_reason(product));
    require(stop_reason <= 26, "end.stop_reason", "must be 0 to 26 (section 10.6)")?;
    Ok(Ending::At { at_ms: end.at_ms, stop_reason })
}

/// Builds the tables and cues of a script from the rows of its timeline.
struct TimelineParser<'a> {
    people: HashMap<&'a str, usize>,
    find_clip: FindClip<'a>,
    clips: Clips,
    utterances: Vec<Utterance>,
    chats: Vec<Chat>,
    engagements: Vec<EngagementEvent>,
    is_engagement: bool,
    cues: Vec<(u32, Cue)>,
}

impl<'a> TimelineParser<'a> {
    fn new(
        people: &'a [PersonItem],
        product: Product,
        find_clip: FindClip<'a>,
    ) -> Result<Self, ScriptError> {
        require(people.len() <= MAX_PEOPLE, "people", "has more than 1000 items")?;
        let mut by_key = HashMap::new();
        let (mut ids, mut channels) = (HashSet::new(), HashSet::new());
        let is_engagement = product.names_channels();
        for (index, person) in people.iter().enumerate() {
            let place = format!("people[{index}]");
            // Zoom's own client reads an int32 (section 22); 0 is the mixed audio.
            let fits = person.user_id > 0 && i32::try_from(person.user_id).is_ok();
            require(fits, &format!("{place}.user_id"), "must be positive and fit int32")?;
            let unused = by_key.insert(person.key.as_str(), index).is_none();
            require(unused, &format!("{place}.key"), "is used twice")?;
            require(ids.insert(person.user_id), &format!("{place}.user_id"), "is used twice")?;
            let channel_place = format!("{place}.channel_id");
            let is_fitting = person.channel_id.is_none() || is_engagement;
            require(is_fitting, &channel_place, "is only allowed with contact_center and phone")?;
            let channel = person.channel_id.as_ref().unwrap_or(&person.key);
            require(channels.insert(channel), &channel_place, "is used twice")?;
        }
        Ok(Self {
            people: by_key,
            find_clip,
            clips: Clips::new(),
            utterances: Vec::new(),
            chats: Vec::new(),
            engagements: Vec::new(),
            is_engagement: product == Product::ContactCenter,
            cues: Vec::new(),
        })
    }

    fn add_item(&mut self, item: &Item) -> Result<(), ScriptError> {
        require(item.at_ms <= MAX_MS, "at_ms", "is more than a day")?;
        let before = self.cues.len();
        self.person_cue(item, "join", &item.join, Cue::Join)?;
        self.person_cue(item, "leave", &item.leave, Cue::Leave)?;
        self.person_cue(item, "share_start", &item.share_start, Cue::ShareStart)?;
        self.person_cue(item, "video_on", &item.video_on, Cue::VideoOn)?;
        self.person_cue(item, "video_off", &item.video_off, Cue::VideoOff)?;
        self.plain_cue(item, item.share_stop.as_ref().map(|_| Cue::ShareStop));
        self.plain_cue(item, item.pause.as_ref().map(|_| Cue::Action(MeetingAction::Pause)));
        self.plain_cue(item, item.resume.as_ref().map(|_| Cue::Action(MeetingAction::Resume)));
        self.plain_cue(item, item.fault.clone().map(Cue::Action));
        if let Some(chat) = &item.chat {
            let who = self.find_person("chat.who", &chat.who)?;
            self.chats.push(Chat { who, text: chat.text.clone() });
            self.cues.push((item.at_ms, Cue::Chat(self.chats.len() - 1)));
        }
        if let Some(event) = &item.engagement {
            self.add_engagement(item.at_ms, event)?;
        }
        // Counted before `say`, which alone adds two cues.
        let mut count = self.cues.len() - before;
        if let Some(say) = &item.say {
            self.add_utterance(item.at_ms, say)?;
            count += 1;
        }
        require(count == 1, "", "must hold exactly one event")
    }

    fn person_cue(
        &mut self,
        item: &Item,
        name: &str,
        key: &Option<String>,
        cue: fn(usize) -> Cue,
    ) -> Result<(), ScriptError> {
        if let Some(key) = key {
            let who = self.find_person(name, key)?;
            self.cues.push((item.at_ms, cue(who)));
        }
        Ok(())
    }

    fn plain_cue(&mut self, item: &Item, cue: Option<Cue>) {
        self.cues.extend(cue.map(|cue| (item.at_ms, cue)));
    }

    fn add_engagement(&mut self, at_ms: u32, event: &EngagementItem) -> Result<(), ScriptError> {
        require(self.is_engagement, "engagement", "is only allowed with product contact_center")?;
        let is_known = (CONTACT_CENTER_FIRST..=CONTACT_CENTER_LAST).contains(&event.event_type);
        require(is_known, "engagement.event_type", "must be 8 to 34 (section 10.2)")?;
        let who = self.find_person("engagement.who", &event.who)?;
        let (event_type, fields) = (event.event_type.into(), event.fields.clone());
        self.engagements.push(EngagementEvent { who, event_type, fields });
        self.cues.push((at_ms, Cue::Engagement(self.engagements.len() - 1)));
        Ok(())
    }

    fn add_utterance(&mut self, at_ms: u32, say: &SayItem) -> Result<(), ScriptError> {
        let who = self.find_person("say.who", &say.who)?;
        require(say.duration_ms > 0, "say.duration_ms", "must be positive")?;
        // Does not underflow: `add_item` has checked `at_ms`.
        require(say.duration_ms <= MAX_MS - at_ms, "say.duration_ms", "ends after a day")?;
        require((-1..=36).contains(&say.language), "say.language", "must be -1 to 36")?;
        let voice = self.find_voice(say.audio.as_deref(), who)?;
        let index = self.utterances.len();
        self.cues.push((at_ms, Cue::Speak(index)));
        self.cues.push((at_ms + say.duration_ms, Cue::Line(index)));
        self.utterances.push(Utterance {
            who,
            text: say.text.clone(),
            start_ms: at_ms,
            duration_ms: say.duration_ms,
            language: say.language,
            voice,
        });
        Ok(())
    }

    fn find_voice(&mut self, audio: Option<&str>, who: usize) -> Result<Voice, ScriptError> {
        // People who are neighbours in the list differ. A multiple of 50 Hz: see `Voice::Tone`.
        let tone = Voice::Tone { hz: 150 + 50 * (who % 8) as u32 };
        let Some(name) = audio else { return Ok(tone) };
        // A script from elsewhere must not read files outside of its folder.
        let plain = !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
        require(plain, "say.audio", "must be the name of a file in the script's folder")?;
        if let Some(clip) = self.clips.get(name) {
            return Ok(Voice::Clip(clip.clone()));
        }
        let Some(bytes) = (self.find_clip)(name)? else { return Ok(tone) };
        let clip: Arc<[u8]> = bytes.into();
        self.clips.insert(name.to_owned(), clip.clone());
        Ok(Voice::Clip(clip))
    }

    fn find_person(&self, place: &str, key: &str) -> Result<usize, ScriptError> {
        self.people.get(key).copied().ok_or_else(|| invalid_script(place, "is not a key in people"))
    }
}

/// Sorts utterances by start, as the binary search of `utterances_between` needs, and updates the cues' indexes.
fn sort_utterances(utterances: &mut Vec<Utterance>, cues: &mut [(u32, Cue)]) {
    let mut order: Vec<usize> = (0..utterances.len()).collect();
    order.sort_by_key(|index| utterances[*index].start_ms);
    // The new index of each old one.
    let mut place = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    *utterances = order.iter().map(|old| utterances[*old].clone()).collect();
    for (_, cue) in cues {
        if let Cue::Speak(index) | Cue::Line(index) = cue {
            *index = place[*index];
        }
    }
}

/// Checks that only people who are in the meeting act. A transcript line may follow after its speaker has left.
fn check_presence(
    cues: &[(u32, Cue)],
    utterances: &[Utterance],
    chats: &[Chat],
    people: &[PersonItem],
) -> Result<(), ScriptError> {
    let mut present = HashSet::new();
    for (at_ms, cue) in cues {
        let who = match cue {
            Cue::Join(who) => {
                present.insert(*who);
                *who
            }
            Cue::Speak(index) => utterances[*index].who,
            Cue::Chat(index) => chats[*index].who,
            Cue::Leave(who) | Cue::ShareStart(who) | Cue::VideoOn(who) | Cue::VideoOff(who) => *who,
            Cue::Line(_) | Cue::ShareStop | Cue::Engagement(_) | Cue::Action(_) => continue,
        };
        let place = format!("timeline at_ms {at_ms}");
        let problem = format!("{} is not in the meeting", people[who].key);
        require(present.contains(&who), &place, &problem)?;
        if let Cue::Leave(who) = cue {
            present.remove(who);
        }
    }
    Ok(())
}

impl ScriptError {
    /// Prefixes the place of the mistake with its outer place.
    fn at(self, outer: &str) -> Self {
        match self {
            Self::Invalid { place, problem } if place.is_empty() => invalid_script(outer, &problem),
            Self::Invalid { place, problem } => {
                invalid_script(&format!("{outer}.{place}"), &problem)
            }
            other => other,
        }
    }
}

fn invalid_script(place: &str, problem: &str) -> ScriptError {
    ScriptError::Invalid { place: place.to_owned(), problem: problem.to_owned() }
}

fn require(holds: bool, place: &str, problem: &str) -> Result<(), ScriptError> {
    if holds { Ok(()) } else { Err(invalid_script(place, problem)) }
}

#[cfg(test)]
mod tests;
