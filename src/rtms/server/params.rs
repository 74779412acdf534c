//! Negotiates media parameters: fills in defaults and checks what a client requests (rtms-protocol.md section 8).

use crate::model::Medium;
use serde::Serialize;
use serde_json::{Map, Value};

use super::refusal::Refusal;

pub(crate) const RTP: i64 = 1;
const RAW_AUDIO: i64 = 2;
const RAW_VIDEO: i64 = 3;
const TEXT: i64 = 5;

pub(crate) const L16: i64 = 1;
pub(crate) const G711: i64 = 2;
pub(crate) const G722: i64 = 3;
pub(crate) const OPUS: i64 = 4;
pub(crate) const JPG: i64 = 5;
pub(crate) const PNG: i64 = 6;
pub(crate) const H264: i64 = 7;

pub(crate) const AUDIO_MIXED: i64 = 1;
const AUDIO_MULTI: i64 = 2;
const VIDEO_ACTIVE_SPEAKER: i64 = 3;
/// One participant's video, chosen with message 28.
pub(crate) const VIDEO_INDIVIDUAL: i64 = 4;

const SEND_RATE_STEP_MS: i64 = 20;
const MAX_SEND_RATE_MS: i64 = 1000;
/// The highest rates of still images, for video and for a share (conflict 19.17).
const MAX_STILL_FPS: i64 = 5;
const MAX_SHARE_STILL_FPS: i64 = 1;
const MAX_FPS: i64 = 30;

/// Effective audio parameters. Zoom's own client needs all six in message 4 (section 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct AudioParams {
    pub content_type: i64,
    pub sample_rate: i64,
    pub channel: i64,
    pub codec: i64,
    pub data_opt: i64,
    pub send_rate: i64,
}

/// Effective video or share parameters. A share has no `data_opt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct PictureParams {
    pub content_type: i64,
    pub codec: i64,
    pub resolution: i64,
    pub fps: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_opt: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct TranscriptParams {
    pub content_type: i64,
    pub src_language: i64,
    pub enable_lid: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct ChatParams {
    pub content_type: i64,
}

/// `media_params` of message 4, with one object for each medium of the socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct MediaParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioParams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<PictureParams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deskshare: Option<PictureParams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<TranscriptParams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatParams>,
}

/// The effective parameters for `media`, given the client's `media_params` (null if absent).
/// `lenient` also allows the combinations that conflict 19.17 leaves open.
pub(crate) fn negotiate(
    media: &[Medium],
    requested: &Value,
    lenient: bool,
) -> Result<MediaParams, Refusal> {
    let none = Map::new();
    let requested = match requested {
        Value::Null => &none,
        Value::Object(fields) => fields,
        _ => return Err(Refusal::MEDIA_PARAMS),
    };
    let mut params = MediaParams::default();
    for medium in media {
        match medium {
            Medium::Audio => params.audio = Some(negotiate_audio(requested.get("audio"))?),
            Medium::Video => params.video = Some(negotiate_video(requested.get("video"), lenient)?),
            Medium::Share => {
                params.deskshare = Some(negotiate_share(requested.get("deskshare"), lenient)?)
            }
            Medium::Transcript => {
                params.transcript = Some(negotiate_transcript(requested.get("transcript"))?);
            }
            Medium::Chat => params.chat = Some(negotiate_chat(requested.get("chat"))?),
        }
    }
    Ok(params)
}

fn negotiate_audio(requested: Option<&Value>) -> Result<AudioParams, Refusal> {
    let fields = Fields::of(requested, Refusal::AUDIO_PARAMS)?;
    let params = AudioParams {
        content_type: fields.int("content_type", RAW_AUDIO)?,
        sample_rate: fields.int("sample_rate", 1)?,
        channel: fields.int("channel", 1)?,
        codec: fields.int("codec", L16)?,
        data_opt: fields.int("data_opt", AUDIO_MIXED)?,
        // Clamped, not refused (section 8.1).
        send_rate: fields.int("send_rate", SEND_RATE_STEP_MS)?.min(MAX_SEND_RATE_MS),
    };
    legal_audio(&params)?;
    Ok(params)
}

/// Checks the combination against the table of section 8.2.
fn legal_audio(params: &AudioParams) -> Result<(), Refusal> {
    let rtp = params.content_type == RTP;
    require(rtp || params.content_type == RAW_AUDIO, Refusal::AUDIO_CONTENT_TYPE)?;
    require((L16..=OPUS).contains(&params.codec), Refusal::AUDIO_CODEC)?;
    // The table has no L16 over RTP.
    require(!(rtp && params.codec == L16), Refusal::AUDIO_CODEC)?;
    // Codes of section 10.12: 0 is 8 kHz, 3 is 48 kHz.
    let rates: &[i64] = match params.codec {
        L16 => &[0, 1, 2, 3],
        G711 => &[0],
        G722 => &[1],
        _ => &[3],
    };
    require(rates.contains(&params.sample_rate), Refusal::AUDIO_SAMPLE_RATE)?;
    let max_channel = if matches!(params.codec, L16 | OPUS) { 2 } else { 1 };
    require((1..=max_channel).contains(&params.channel), Refusal::AUDIO_CHANNEL)?;
    require(matches!(params.data_opt, AUDIO_MIXED | AUDIO_MULTI), Refusal::AUDIO_DATA_OPT)?;
    let whole_steps = params.send_rate > 0 && params.send_rate % SEND_RATE_STEP_MS == 0;
    // Only L16 frames can be longer than 20 ms.
    let one_step = params.send_rate == SEND_RATE_STEP_MS;
    require(whole_steps && (one_step || params.codec == L16), Refusal::AUDIO_SEND_RATE)
}

/// How video and share differ: their defaults, limits and refusals.
struct PictureRules {
    resolution: i64,
    fps: i64,
    max_still_fps: i64,
    params: Refusal,
    content_type: Refusal,
    codec: Refusal,
    bad_resolution: Refusal,
    bad_fps: Refusal,
}

fn negotiate_video(requested: Option<&Value>, lenient: bool) -> Result<PictureParams, Refusal> {
    let rules = PictureRules {
        resolution: 2,
        fps: 5,
        max_still_fps: MAX_STILL_FPS,
        params: Refusal::VIDEO_PARAMS,
        content_type: Refusal::VIDEO_CONTENT_TYPE,
        codec: Refusal::VIDEO_CODEC,
        bad_resolution: Refusal::VIDEO_RESOLUTION,
        bad_fps: Refusal::VIDEO_FPS,
    };
    let data_opt = Fields::of(requested, rules.params)?.int("data_opt", VIDEO_ACTIVE_SPEAKER)?;
    let known = matches!(data_opt, VIDEO_ACTIVE_SPEAKER | VIDEO_INDIVIDUAL);
    require(known, Refusal::VIDEO_DATA_OPT)?;
    Ok(PictureParams { data_opt: Some(data_opt), ..negotiate_picture(requested, &rules, lenient)? })
}

fn negotiate_share(requested: Option<&Value>, lenient: bool) -> Result<PictureParams, Refusal> {
    let rules = PictureRules {
        resolution: 3,
        fps: 1,
        max_still_fps: if lenient { MAX_STILL_FPS } else { MAX_SHARE_STILL_FPS },
        params: Refusal::SHARE_PARAMS,
        content_type: Refusal::SHARE_CONTENT_TYPE,
        codec: Refusal::SHARE_CODEC,
        bad_resolution: Refusal::SHARE_RESOLUTION,
        bad_fps: Refusal::SHARE_FPS,
    };
    negotiate_picture(requested, &rules, lenient)
}

/// Applies the table of section 8.3. Without a codec, a rate that is too high for still images falls back to JPG
/// at their highest rate (section 8.1).
fn negotiate_picture(
    requested: Option<&Value>,
    rules: &PictureRules,
    lenient: bool,
) -> Result<PictureParams, Refusal> {
    let fields = Fields::of(requested, rules.params)?;
    let mut params = PictureParams {
        content_type: fields.int("content_type", RAW_VIDEO)?,
        codec: fields.int("codec", JPG)?,
        resolution: fields.int("resolution", rules.resolution)?,
        fps: fields.int("fps", rules.fps)?,
        data_opt: None,
    };
    // From the general to the particular, so that each mistake gets its own code.
    require(matches!(params.content_type, RTP | RAW_VIDEO), rules.content_type)?;
    require((JPG..=H264).contains(&params.codec), rules.codec)?;
    require((1..=4).contains(&params.resolution), rules.bad_resolution)?;
    require((1..=MAX_FPS).contains(&params.fps), rules.bad_fps)?;
    if !fields.has("codec") {
        params.fps = params.fps.min(rules.max_still_fps);
    }
    let legal = match params.codec {
        H264 => lenient || params.fps > rules.max_still_fps,
        _ => params.fps <= rules.max_still_fps,
    };
    require(legal, rules.bad_fps)?;
    Ok(params)
}

fn negotiate_transcript(requested: Option<&Value>) -> Result<TranscriptParams, Refusal> {
    let fields = Fields::of(requested, Refusal::TRANSCRIPT_PARAMS)?;
    let content_type = fields.int("content_type", TEXT)?;
    require(content_type == TEXT, Refusal::TRANSCRIPT_CONTENT_TYPE)?;
    let src_language = fields.int("src_language", 9)?;
    // The languages of section 10.15; -1 is none.
    require((-1..=36).contains(&src_language), Refusal::SOURCE_LANGUAGE)?;
    let enable_lid = fields.flag("enable_lid", true)?;
    Ok(TranscriptParams { content_type, src_language, enable_lid })
}

fn negotiate_chat(requested: Option<&Value>) -> Result<ChatParams, Refusal> {
    let content_type = Fields::of(requested, Refusal::CHAT_PARAMS)?.int("content_type", TEXT)?;
    require(content_type == TEXT, Refusal::CHAT_CONTENT_TYPE)?;
    Ok(ChatParams { content_type })
}

fn require(holds: bool, refusal: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal) }
}

/// One sub-object of `media_params`. Absent and null count as empty.
struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    wrong_type: Refusal,
}

impl<'a> Fields<'a> {
    fn of(value: Option<&'a Value>, wrong_type: Refusal) -> Result<Self, Refusal> {
        let object = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) => Some(object),
            Some(_) => return Err(wrong_type),
        };
        Ok(Self { object, wrong_type })
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.object?.get(name).filter(|value| !value.is_null())
    }

    fn int(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        self.get(name).map_or(Ok(default), |value| value.as_i64().ok_or(self.wrong_type))
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        self.get(name).map_or(Ok(default), |value| value.as_bool().ok_or(self.wrong_type))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(medium: Medium, requested: Value) -> i64 {
        let refusal = negotiate(&[medium], &requested, false).unwrap_err();
        refusal.code
    }

    #[test]
    fn an_empty_request_gets_every_default_of_section_8_1() {
        for nothing in [json!(null), json!({}), json!({"audio": null, "video": {}})] {
            let params = negotiate(&Medium::ALL, &nothing, false).unwrap();
            assert_eq!(
                serde_json::to_value(params).unwrap(),
                json!({
                    "audio": {"content_type": 2, "sample_rate": 1, "channel": 1, "codec": 1,
                              "data_opt": 1, "send_rate": 20},
                    "video": {"content_type": 3, "codec": 5, "resolution": 2, "fps": 5,
                              "data_opt": 3},
                    "deskshare": {"content_type": 3, "codec": 5, "resolution": 3, "fps": 1},
                    "transcript": {"content_type": 5, "src_language": 9, "enable_lid": true},
                    "chat": {"content_type": 5}
                })
            );
        }
    }

    #[test]
    fn the_sdks_own_defaults_are_legal() {
        let requested = json!({
            "audio": {"content_type": 2, "codec": 4, "sample_rate": 3, "channel": 2, "data_opt": 2,
                      "send_rate": 20},
            "video": {"content_type": 3, "codec": 7, "resolution": 2, "fps": 30, "data_opt": 3},
            "deskshare": {"content_type": 3, "codec": 7, "resolution": 2, "fps": 30},
            "transcript": {"content_type": 5, "src_language": 9, "enable_lid": false}
        });
        let params = negotiate(&Medium::ALL, &requested, false).unwrap();
        assert_eq!(params.audio.unwrap().codec, OPUS);
        assert_eq!(params.deskshare.unwrap().fps, 30);
        assert!(!params.transcript.unwrap().enable_lid);
    }

    #[test]
    fn each_wrong_audio_parameter_has_its_own_code() {
        let cases = [
            (json!(1), 18),
            (json!({"codec": "1"}), 18),
            (json!({"content_type": 5}), 19),
            (json!({"sample_rate": 4}), 20),
            (json!({"codec": 4}), 20),
            (json!({"codec": 4, "sample_rate": 3, "channel": 3}), 21),
            (json!({"codec": 2, "sample_rate": 0, "channel": 2}), 21),
            (json!({"codec": 5}), 22),
            (json!({"content_type": 1}), 22),
            (json!({"data_opt": 3}), 23),
            (json!({"send_rate": 30}), 24),
            (json!({"send_rate": 0}), 24),
            (json!({"codec": 2, "sample_rate": 0, "send_rate": 40}), 24),
        ];
        for (audio, code) in cases {
            assert_eq!(refused(Medium::Audio, json!({"audio": audio})), code, "{audio}");
        }
        assert_eq!(refused(Medium::Audio, json!([])), 17);
    }

    #[test]
    fn each_wrong_picture_parameter_has_its_own_code() {
        let cases = [
            (json!(true), 25, 31),
            (json!({"content_type": 2}), 26, 32),
            (json!({"codec": 4}), 27, 33),
            (json!({"resolution": 5}), 28, 34),
            (json!({"fps": 31}), 30, 35),
            (json!({"codec": 5, "fps": 25}), 30, 35),
            (json!({"codec": 7, "fps": 1}), 30, 35),
        ];
        for (picture, video, share) in cases {
            assert_eq!(refused(Medium::Video, json!({"video": picture})), video, "{picture}");
            assert_eq!(refused(Medium::Share, json!({"deskshare": picture})), share, "{picture}");
        }
        assert_eq!(refused(Medium::Video, json!({"video": {"data_opt": 5}})), 29);
    }

    #[test]
    fn each_wrong_text_parameter_has_its_own_code() {
        assert_eq!(refused(Medium::Transcript, json!({"transcript": {"enable_lid": 1}})), 36);
        assert_eq!(refused(Medium::Transcript, json!({"transcript": {"content_type": 1}})), 37);
        assert_eq!(refused(Medium::Transcript, json!({"transcript": {"src_language": 37}})), 43);
        assert_eq!(refused(Medium::Chat, json!({"chat": "all"})), 38);
        assert_eq!(refused(Medium::Chat, json!({"chat": {"content_type": 2}})), 39);
    }

    #[test]
    fn a_high_send_rate_and_a_high_rate_of_stills_without_a_codec_are_clamped() {
        let requested = json!({"audio": {"send_rate": 4000}, "video": {"fps": 25}});
        let params = negotiate(&Medium::ALL, &requested, false).unwrap();
        assert_eq!(params.audio.unwrap().send_rate, 1000);
        let video = params.video.unwrap();
        assert_eq!((video.codec, video.fps), (JPG, 5));
    }

    #[test]
    fn a_lenient_server_accepts_five_share_stills_per_second() {
        let requested = json!({"deskshare": {"codec": 6, "fps": 5}});
        assert!(negotiate(&[Medium::Share], &requested, true).is_ok());
        assert!(negotiate(&[Medium::Share], &requested, false).is_err());
    }
}
