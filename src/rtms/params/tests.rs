use serde_json::{Value, json};

use super::*;
use crate::model::params::*;
use crate::model::{MediaSet, Medium};

mod effective;
mod legal;
mod resolve;
mod wire;

/// The default parameters with what a request body says.
fn resolve(overrides: Value) -> Result<Params, Vec<ParamMistake>> {
    Params::resolve(&Params::default(), &serde_json::from_value(overrides).unwrap())
}

fn wrong_fields(overrides: Value) -> Vec<&'static str> {
    resolve(overrides).unwrap_err().iter().map(|mistake| mistake.field).collect()
}

/// Whether these parameters are taken as they are.
fn is_accepted(params: &Params) -> bool {
    Params::resolve(params, &ParamsOverrides::default()).is_ok_and(|same| same == *params)
}

/// Every audio parameter that can be written down, legal or not.
fn all_audio() -> Vec<AudioParams> {
    let mut all = Vec::new();
    for &content_type in AudioContent::ALL {
        for &codec in AudioCodec::ALL {
            for &sample_rate in SampleRate::ALL {
                for &channels in Channels::ALL {
                    for &streams in AudioStreams::ALL {
                        all.extend((0..=1060).step_by(10).map(|send_rate_ms| AudioParams {
                            content_type,
                            codec,
                            sample_rate,
                            channels,
                            streams,
                            send_rate_ms,
                        }));
                    }
                }
            }
        }
    }
    all
}

/// Every video parameter that can be written down, legal or not.
fn all_video() -> Vec<VideoParams> {
    let mut all = Vec::new();
    for &codec in VideoCodec::ALL {
        for &resolution in Resolution::ALL {
            for &select in VideoSelect::ALL {
                all.extend((0..=32).map(|fps| VideoParams {
                    codec,
                    resolution,
                    fps,
                    select,
                    ..VideoParams::default()
                }));
            }
        }
    }
    all
}

/// Every share parameter that can be written down, legal or not.
fn all_share() -> Vec<ShareParams> {
    let share = |video: VideoParams| {
        let VideoParams { codec, resolution, fps, select, .. } = video;
        (select == VideoSelect::Active).then_some(ShareParams { codec, resolution, fps })
    };
    all_video().into_iter().filter_map(share).collect()
}

/// What Zoom takes, in the numbers of sections 6.3, 8, 10.7 to 10.12 and 10.15. Knows nothing of the code under test.
fn zoom_takes(media_params: &Value) -> Result<(), String> {
    for (key, object) in media_params.as_object().ok_or("not an object")? {
        let field = |name: &str| object[name].as_i64().ok_or(format!("{key}.{name} is no integer"));
        let is_legal = match key.as_str() {
            "audio" => {
                fields_are(object, "channel codec content_type data_opt sample_rate send_rate")
                    && zoom_takes_audio(
                        [field("content_type")?, field("codec")?, field("sample_rate")?],
                        [field("channel")?, field("send_rate")?],
                    )
                    && (1..=2).contains(&field("data_opt")?)
            }
            "video" => {
                let fps = field("fps")?;
                fields_are(object, "codec content_type data_opt fps resolution")
                    && match field("codec")? {
                        5 | 6 => (1..=5).contains(&fps),
                        7 => (6..=30).contains(&fps),
                        _ => false,
                    }
                    && field("content_type")? == 3
                    && (1..=4).contains(&field("resolution")?)
                    && (3..=4).contains(&field("data_opt")?)
            }
            "deskshare" => {
                let fps = field("fps")?;
                fields_are(object, "codec content_type fps resolution")
                    && match field("codec")? {
                        5 | 6 => fps == 1,
                        7 => (2..=30).contains(&fps),
                        _ => false,
                    }
                    && field("content_type")? == 3
                    && (1..=4).contains(&field("resolution")?)
            }
            "transcript" => {
                fields_are(object, "content_type enable_lid src_language")
                    && field("content_type")? == 5
                    && (-1..=36).contains(&field("src_language")?)
                    && object["enable_lid"].is_boolean()
            }
            "chat" => fields_are(object, "content_type") && field("content_type")? == 5,
            _ => return Err(format!("{key} is no medium")),
        };
        if !is_legal {
            return Err(format!("{key} is {object}"));
        }
    }
    Ok(())
}

fn fields_are(object: &Value, names: &str) -> bool {
    object.as_object().is_some_and(|fields| fields.keys().map(String::as_str).eq(names.split(' ')))
}

/// Section 8.2, row by row.
fn zoom_takes_audio(
    [content_type, codec, sample_rate]: [i64; 3],
    [channel, send_rate]: [i64; 2],
) -> bool {
    match (content_type, codec) {
        (1, 4) => sample_rate == 3 && (channel == 1 || channel == 2) && send_rate == 20,
        (1, 2) => sample_rate == 0 && channel == 1 && send_rate == 20,
        (1, 3) => sample_rate == 1 && channel == 1 && send_rate == 20,
        (2, 1) => {
            [0, 1, 2, 3].contains(&sample_rate)
                && (channel == 1 || channel == 2)
                && (20..=1000).contains(&send_rate)
                && send_rate % 20 == 0
        }
        (2, 4) => sample_rate == 3 && (channel == 1 || channel == 2) && send_rate == 20,
        (2, 2) => sample_rate == 0 && channel == 1 && send_rate == 20,
        (2, 3) => sample_rate == 1 && channel == 1 && send_rate == 20,
        _ => false,
    }
}
