//! Reading the settings.

use std::collections::HashMap;

use super::*;
use crate::model::params::{
    AudioCodec, AudioStreams, ConnectionMode, Language, Params, Preset, SampleRate, VideoCodec,
    VideoSelect,
};
use crate::model::{MediaSet, Medium, Product};
use crate::zoom::app::{AutoStart, StreamsPerMeeting};
use crate::zoom::token::Configured;

const GOOD: [(&str, &str); 3] = [
    ("ZOOM_CLIENT_ID", "id"),
    ("ZOOM_CLIENT_SECRET", "s3cret-client"),
    ("ZOOM_SECRET_TOKEN", "s3cret-token"),
];

fn config(changes: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let values: HashMap<&str, &str> = GOOD.iter().chain(changes).copied().collect();
    Config::from_lookup(|name| values.get(name).map(ToString::to_string))
}

/// The app that these settings describe.
fn app(changes: &[(&str, &str)]) -> App {
    config(changes).unwrap().apps.remove(0)
}

fn mistakes(changes: &[(&str, &str)]) -> Vec<&'static str> {
    let errors = config(changes).expect_err("these settings are wrong");
    errors.0.iter().map(|mistake| mistake.name).collect()
}

#[test]
fn the_three_secrets_of_an_app_are_enough() {
    let config = config(&[]).unwrap();
    assert_eq!(config.address.to_string(), "0.0.0.0:3000");
    assert_eq!(config.webhook_path, "/webhook");
    assert_eq!(config.apps[0].params, Params::default());
    assert!(matches!(config.database, Location::Sqlite(path) if path.ends_with("data/rtmsd.db")));
    assert!(config.api_tokens.is_empty());
}

#[test]
fn subscribers_leave_a_quarter_of_the_connections() {
    let limit = |changes: &[(&str, &str)]| config(changes).unwrap().max_subscribers;
    assert_eq!(limit(&[]), 512);
    assert_eq!(limit(&[("MAX_CONNECTIONS", "100")]), 75);
    assert_eq!(limit(&[("MAX_CONNECTIONS", "1")]), 1);
    assert_eq!(limit(&[("MAX_CONNECTIONS", "100"), ("MAX_SUBSCRIBERS", "75")]), 75);
    assert_eq!(limit(&[("MAX_SUBSCRIBERS", "768")]), 768);
    for changes in [
        &[("MAX_SUBSCRIBERS", "769")][..],
        &[("MAX_CONNECTIONS", "100"), ("MAX_SUBSCRIBERS", "76")],
    ] {
        assert_eq!(mistakes(changes), ["MAX_SUBSCRIBERS"]);
        let errors = config(changes).unwrap_err().to_string();
        assert!(errors.contains("MAX_CONNECTIONS"), "{errors}");
    }
}

#[test]
fn an_app_has_no_quotas_unless_they_are_set() {
    assert_eq!(app(&[]).quotas.max_streams, None);
    assert_eq!(app(&[("MAX_STREAMS_PER_APP", "7")]).quotas.max_streams, Some(7));
    assert_eq!(mistakes(&[("MAX_STREAMS_PER_APP", "0")]), ["MAX_STREAMS_PER_APP"]);
    let rate = |changes: &[(&str, &str)]| app(changes).quotas.api_rate_per_s;
    assert_eq!((rate(&[]), rate(&[("API_RATE_LIMIT_PER_SECOND_PER_APP", "9")])), (None, Some(9)));
}

#[test]
fn every_mistake_is_reported_at_once_by_name_and_without_its_value() {
    let wrong = [
        ("ZOOM_SECRET_TOKEN", ""),
        ("PORT", "s3cret-port"),
        ("DATABASE_URL", "mysql://root:s3cret@host/db"),
        ("MEDIA_TYPES", "audio,s3cret"),
        ("WEBHOOK_PATH", "s3cret"),
        ("API_TOKENS", "s3cret"),
        ("CORS_ALLOWED_ORIGINS", "https://s3cret/path"),
        ("RTMS_ALLOW_WS", "s3cret"),
        ("LOG_LEVEL", "s3cret"),
        ("ENTRY_BATCH_MS", "0"),
        ("RTMS_ALLOWED_HOSTS", "https://s3cret/"),
        ("SHUTDOWN_STREAMS", "s3cret"),
    ];
    let errors = config(&wrong).unwrap_err();
    for (name, _) in wrong {
        assert!(errors.0.iter().any(|mistake| mistake.name == name), "{name} is not reported");
    }
    assert!(!errors.to_string().contains("s3cret"), "{errors}");
}

#[test]
fn a_missing_secret_says_where_to_find_it() {
    let errors = Config::from_lookup(|_| None).unwrap_err();
    let names: Vec<_> = errors.0.iter().map(|mistake| mistake.name).collect();
    assert_eq!(names, ["ZOOM_SECRET_TOKEN", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET"]);
    assert!(errors.to_string().contains("Secret Token of your Zoom app"), "{errors}");
    assert!(errors.to_string().contains("ZM_RTMS_WEBHOOK_SECRET"), "{errors}");
}

#[test]
fn the_names_of_zooms_samples_are_read() {
    let sample = HashMap::from([
        ("ZM_RTMS_CLIENT", "id"),
        ("ZM_RTMS_SECRET", "secret"),
        ("ZM_RTMS_SECRET_TOKEN", "token"),
        ("ZM_RTMS_PORT", "8080"),
        ("ZM_RTMS_PATH", "/zoom"),
        ("ZM_RTMS_LOG_LEVEL", "DEBUG"),
        ("ZM_RTMS_LOG_FORMAT", "progressive"),
    ]);
    let config = Config::from_lookup(|name| sample.get(name).map(ToString::to_string)).unwrap();
    assert_eq!(config.address.port(), 8080);
    assert_eq!(config.webhook_path, "/zoom");
    assert_eq!(config.log.level, "debug");
}

#[test]
fn two_different_values_for_one_thing_are_refused_with_both_names() {
    let errors = config(&[("ZM_RTMS_CLIENT", "another")]).unwrap_err().to_string();
    assert!(errors.contains("ZOOM_CLIENT_ID") && errors.contains("ZM_RTMS_CLIENT"), "{errors}");
    assert!(config(&[("ZM_RTMS_CLIENT", "id")]).is_ok());
}

#[test]
fn serving_needs_a_token_and_a_key_only_where_the_store_is_shared() {
    let to_serve = |changes: &[(&str, &str)]| {
        let values: HashMap<&str, &str> = GOOD.iter().chain(changes).copied().collect();
        let read = Config::to_serve(|name| values.get(name).map(ToString::to_string));
        read.map(drop).map_err(|errors| errors.0.iter().map(|it| it.name).collect::<Vec<_>>())
    };
    assert_eq!(to_serve(&[]), Ok(()));
    let postgres = ("DATABASE_URL", "postgres://u@h/d");
    assert_eq!(to_serve(&[postgres]), Err(vec!["API_TOKENS", "TOKEN_ENCRYPTION_KEYS"]));
    let key = "42".repeat(32);
    let both = [postgres, ("API_TOKENS", "a:a-token-of-16-bytes"), ("TOKEN_ENCRYPTION_KEYS", &key)];
    assert_eq!(to_serve(&both), Ok(()));
    // A malformed value is not reported as missing too.
    let broken = [postgres, ("API_TOKENS", "a"), ("TOKEN_ENCRYPTION_KEYS", "x")];
    assert_eq!(to_serve(&broken), Err(vec!["API_TOKENS", "TOKEN_ENCRYPTION_KEYS"]));
    assert_eq!(to_serve(&[("API_TOKENS", " , ")]), Err(vec!["API_TOKENS"]));
}

#[test]
fn several_secret_tokens_are_separated_by_commas_with_the_newest_first() {
    let tokens = |text| app(&[("ZOOM_SECRET_TOKEN", text)]).secret_tokens;
    let secrets = |texts: &[&str]| -> Vec<_> {
        texts.iter().map(|text| Secret::new((*text).to_owned())).collect()
    };
    assert_eq!(tokens("new, old"), secrets(&["new", "old"]));
    assert_eq!(tokens("one,"), secrets(&["one"]));
    for wrong in [",", "1,2,3,4,5,6,7,8,9"] {
        assert_eq!(mistakes(&[("ZOOM_SECRET_TOKEN", wrong)]), ["ZOOM_SECRET_TOKEN"], "{wrong}");
    }
}

#[test]
fn a_postgres_url_is_a_secret() {
    let config = config(&[("DATABASE_URL", "postgres://u:s3cret@h/d")]).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn media_are_named_once_each() {
    let params = app(&[("MEDIA_TYPES", " Audio, transcript ,audio")]).params;
    assert_eq!(params.media, MediaSet::from([Medium::Audio, Medium::Transcript]));
    for wrong in ["audio,smell", "audio video", ","] {
        assert_eq!(mistakes(&[("MEDIA_TYPES", wrong)]), ["MEDIA_TYPES"], "{wrong}");
    }
}

#[test]
fn a_preset_is_where_the_media_settings_start_from() {
    let app = app(&[
        ("MEDIA_PRESET", "Recording"),
        ("SHARE_FPS", "10"),
        ("AUDIO_CODEC", "opus"),
        ("AUDIO_STREAMS", "mixed"),
        ("TRANSCRIPT_LANGUAGE", "14"),
        ("TRANSCRIPT_IDENTIFY_LANGUAGE", "off"),
        ("RTMS_BUFFER_DATA", "no"),
    ]);
    let mut expected = Preset::Recording.params();
    expected.share.fps = 10;
    expected.audio.codec = AudioCodec::Opus;
    expected.audio.streams = AudioStreams::Mixed;
    expected.transcript.language = Language::German;
    expected.transcript.identify_language = false;
    expected.buffer_data = false;
    assert_eq!(app.params, expected);
}

#[test]
fn every_media_setting_sets_its_own_parameter() {
    let params = |name, value| app(&[("MEDIA_PRESET", "full"), (name, value)]).params;
    assert_eq!(params("AUDIO_SAMPLE_RATE", "32000").audio.sample_rate, SampleRate::Khz32);
    assert_eq!(params("AUDIO_SEND_RATE_MS", "1000").audio.send_rate_ms, 1000);
    assert_eq!(params("VIDEO_FPS", "6").video.fps, 6);
    assert_eq!(params("VIDEO_SELECT", "individual").video.select, VideoSelect::Individual);
    assert_eq!(params("VIDEO_SELECT", "pinned").video.select, VideoSelect::Individual);
    assert_eq!(params("VIDEO_SELECT", "round-robin").video.select, VideoSelect::RoundRobin);
    assert_eq!(params("VIDEO_DWELL_SECONDS", "3").video.dwell_s, 3);
    assert_eq!(params("SHARE_CODEC", "png").share.codec, VideoCodec::Png);
    let full = Preset::Full.params();
    for (name, value) in [
        ("AUDIO_CHANNELS", "stereo"),
        ("VIDEO_RESOLUTION", "sd"),
        ("SHARE_RESOLUTION", "sd"),
        ("TRANSCRIPT_LANGUAGE", "none"),
        ("MEDIA_TYPES", "chat"),
        ("MEDIA_SOCKET_CONNECTION_MODE", "unified"),
    ] {
        assert_ne!(params(name, value), full, "{name} changes nothing");
    }
}

#[test]
fn every_media_setting_is_refused_under_its_own_name() {
    let media = variables().map(|variable| variable.name).filter(|name| {
        let kinds = ["MEDIA_", "AUDIO_", "VIDEO_", "SHARE_", "TRANSCRIPT_", "RTMS_BUFFER_DATA"];
        kinds.iter().any(|kind| name.starts_with(kind))
    });
    let mut count = 0;
    for name in media {
        let errors = config(&[(name, "s3cret")]).unwrap_err();
        assert_eq!(mistakes(&[(name, "s3cret")]), [name]);
        assert!(!errors.to_string().contains("s3cret"), "{errors}");
        count += 1;
    }
    assert_eq!(count, 21);
}

#[test]
fn contradicting_settings_are_rejected_by_name_and_without_their_values() {
    let wrong =
        [("AUDIO_CODEC", "g722"), ("AUDIO_CHANNELS", "stereo"), ("AUDIO_SEND_RATE_MS", "840")];
    assert_eq!(mistakes(&wrong), ["AUDIO_CHANNELS", "AUDIO_SEND_RATE_MS"]);
    let errors = config(&wrong).unwrap_err().to_string();
    assert!(
        errors
            .contains("AUDIO_CHANNELS: must be what goes with the codec: mono or stereo with l16")
    );
    assert!(!errors.contains("840"), "{errors}");
    assert_eq!(mistakes(&[("VIDEO_CODEC", "jpg"), ("SHARE_FPS", "5")]), ["VIDEO_FPS", "SHARE_FPS"]);
}

#[test]
fn the_media_settings_of_zooms_samples_are_read() {
    let params = app(&[
        ("MEDIA_TYPES_FLAG", "11"),
        ("MEDIA_SOCKET_CONNECTION_MODE", "combined"),
        ("AUDIO_STREAM_MODE", "multi"),
        ("VIDEO_STREAM_MODE", "speaker"),
    ])
    .params;
    assert_eq!(params.media, MediaSet::from([Medium::Audio, Medium::Video, Medium::Transcript]));
    assert_eq!(params.mode, ConnectionMode::Unified);
    assert_eq!(params.audio.streams, AudioStreams::PerParticipant);
    assert_eq!(params.video.select, VideoSelect::Active);
    assert_eq!(app(&[("MEDIA_TYPES_FLAG", "32")]).params.media, MediaSet::ALL);
    for wrong in ["0", "33", "64", "-1", "audio"] {
        assert_eq!(mistakes(&[("MEDIA_TYPES_FLAG", wrong)]), ["MEDIA_TYPES_FLAG"]);
    }
}

#[test]
fn names_and_flag_of_the_media_must_not_contradict_each_other() {
    let agree = app(&[("MEDIA_TYPES", "transcript,audio"), ("MEDIA_TYPES_FLAG", "9")]);
    assert_eq!(agree.params.media, MediaSet::from([Medium::Transcript, Medium::Audio]));
    let contradict = [("MEDIA_TYPES", "audio"), ("MEDIA_TYPES_FLAG", "9")];
    assert_eq!(mistakes(&contradict), ["MEDIA_TYPES_FLAG"]);
    let errors = config(&contradict).unwrap_err().to_string();
    assert!(errors.contains("the same media as in MEDIA_TYPES"), "{errors}");
}

#[test]
fn the_defaults_of_the_table_are_the_defaults() {
    let defaults: Vec<(&str, &str)> = variables()
        .filter(|variable| !variable.default.is_empty())
        .map(|variable| (variable.name, variable.default))
        .collect();
    let (written, left_out) = (config(&defaults).unwrap(), config(&[]).unwrap());
    assert_eq!(format!("{written:?}"), format!("{left_out:?}"));
}

#[test]
fn the_policies_are_off_all_or_for_the_hosts_that_are_named() {
    let auto_start = |text| app(&[("RTMS_AUTO_START", text)]).policies.auto_start;
    assert_eq!(auto_start(""), AutoStart::Off);
    assert_eq!(auto_start("OFF"), AutoStart::Off);
    assert_eq!(auto_start("all"), AutoStart::All);
    assert_eq!(auto_start("u1, u2,"), AutoStart::Hosts(vec!["u1".into(), "u2".into()]));
    for text in ["on", "True", "1", "none", ",", " , "] {
        assert_eq!(mistakes(&[("RTMS_AUTO_START", text)]), ["RTMS_AUTO_START"], "{text}");
    }
    let never = app(&[("RTMS_AUTO_STOP_AFTER_SECONDS", "0")]).policies;
    assert_eq!(never.auto_stop_after, None);
    let policies = app(&[("RTMS_AUTO_STOP_AFTER_SECONDS", "10")]).policies;
    assert_eq!(policies.auto_stop_after, Some(Duration::from_secs(10)));
    assert_eq!(app(&[]).policies.auto_stop_after, None);
    assert_eq!(
        mistakes(&[("RTMS_AUTO_STOP_AFTER_SECONDS", "soon")]),
        ["RTMS_AUTO_STOP_AFTER_SECONDS"]
    );
    assert_eq!(mistakes(&[("RTMS_START_TIMEOUT_SECONDS", "0")]), ["RTMS_START_TIMEOUT_SECONDS"]);
}

#[test]
fn the_streams_of_a_meeting_are_all_the_first_or_the_hosts() {
    let policy = |text| app(&[("RTMS_STREAMS_PER_MEETING", text)]).policies.streams_per_meeting;
    assert_eq!(policy(""), StreamsPerMeeting::All);
    assert_eq!(policy("First"), StreamsPerMeeting::First);
    assert_eq!(policy("host"), StreamsPerMeeting::Host);
    for wrong in ["one", "off", "1"] {
        let name = "RTMS_STREAMS_PER_MEETING";
        assert_eq!(mistakes(&[(name, wrong)]), [name]);
    }
}

#[test]
fn the_app_is_a_whole_part_of_a_subject_prefix() {
    let prefix = |text| [("NATS_URL", "nats://broker"), ("NATS_SUBJECT_PREFIX", text)];
    for right in ["rtms", "acme.zoom", "rtms.{app}", "{app}.rtms"] {
        let nats = config(&prefix(right)).unwrap().nats.unwrap();
        assert_eq!(nats.subject_prefix, right);
    }
    // A wildcard of the broker stands for a whole part only.
    for wrong in ["rtms-{app}", "rtms.{account}", "{app}.", "rtms.*"] {
        assert_eq!(mistakes(&prefix(wrong)), ["NATS_SUBJECT_PREFIX"], "{wrong}");
    }
}

#[test]
fn the_redirect_url_follows_from_the_public_url() {
    let urls = |changes: &[(&str, &str)]| {
        let mut config = config(changes).unwrap();
        (config.install.public_url, config.apps.remove(0).redirect_url)
    };
    let callback = "/api/v1/zoom/oauth/callback";
    let local = "http://localhost:8080".to_owned();
    assert_eq!(urls(&[("PORT", "8080")]), (local.clone(), format!("{local}{callback}")));
    let public = "https://rtms.example.com".to_owned();
    let written = [("SDK_PUBLIC_BASE_URL", "https://rtms.example.com/")];
    assert_eq!(urls(&written), (public.clone(), format!("{public}{callback}")));
    let own = [("ZOOM_OAUTH_REDIRECT_URL", "https://rtms.example.com/back?")];
    assert_eq!(urls(&own).1, "https://rtms.example.com/back?", "as it is registered");
}

#[test]
fn base_urls_use_https_or_loopback() {
    for name in ["ZOOM_API_BASE_URL", "ZOOM_OAUTH_BASE_URL"] {
        for good in ["https://zoom.example", "http://127.0.0.1:9", "http://[::1]:9"] {
            assert!(config(&[(name, good)]).is_ok(), "{name} {good}");
        }
        for bad in ["http://zoom.example", "zoom.us", "https://u:p@zoom.us", "https://zoom.us?x"] {
            assert_eq!(mistakes(&[(name, bad)]), [name], "{bad}");
        }
    }
}

#[test]
fn a_key_of_another_length_is_a_mistake_that_does_not_repeat_it() {
    let key = "42".repeat(32);
    assert!(config(&[]).unwrap().install.token_keys.is_none());
    assert!(config(&[("SDK_TOKEN_ENCRYPTION_KEY", &key)]).unwrap().install.token_keys.is_some());
    let errors = config(&[("TOKEN_ENCRYPTION_KEYS", &format!("{key},{}", &key[2..]))]).unwrap_err();
    let said = errors.to_string();
    assert!(said.contains("key 2") && said.contains("openssl rand -hex 32"), "{said}");
    assert!(!said.contains("4242"), "{said}");
}

#[test]
fn a_token_source_beside_installations_is_an_account_or_a_ready_token() {
    let configured = |changes: &[(&str, &str)]| app(changes).configured;
    assert!(matches!(configured(&[]), Configured::None));
    assert!(matches!(configured(&[("access_token", "t")]), Configured::Static(_)));
    let account = [("ZOOM_ACCOUNT_ID", "a"), ("access_token", "t")];
    assert!(
        matches!(configured(&account), Configured::Account { client, .. } if client.id == "id")
    );
    let own =
        [("ZOOM_ACCOUNT_ID", "a"), ("ZOOM_S2S_CLIENT_ID", "own"), ("ZOOM_S2S_CLIENT_SECRET", "s")];
    assert!(matches!(configured(&own), Configured::Account { client, .. } if client.id == "own"));
    assert_eq!(mistakes(&own[..2]), ["ZOOM_S2S_CLIENT_SECRET"]);
}

#[test]
fn a_video_sdk_app_has_all_three_of_its_secrets_or_none() {
    assert_eq!(config(&[]).unwrap().apps.len(), 1);
    assert!(app(&[]).serves(Product::VideoSdk));
    let all = [
        ("ZOOM_VIDEO_SDK_KEY", "sdk-key"),
        ("ZOOM_VIDEO_SDK_SECRET", "s3cret-sdk"),
        ("ZOOM_VIDEO_SECRET_TOKEN", "s3cret-hook"),
    ];
    let apps = config(&all).unwrap().apps;
    let [default, video] = &apps[..] else { panic!("{apps:?}") };
    assert_eq!((default.client.id.as_str(), default.serves(Product::VideoSdk)), ("id", false));
    assert_eq!((video.name.as_str(), video.client.id.as_str()), ("video", "sdk-key"));
    assert_eq!(video.secret_tokens, [Secret::new("s3cret-hook".to_owned())]);
    assert_eq!(video.products, [Product::VideoSdk]);
    for (index, (missing, _)) in all.iter().enumerate() {
        let others: Vec<_> = all.iter().copied().filter(|(name, _)| name != missing).collect();
        assert_eq!(mistakes(&others), [*missing]);
        let alone = [all[index]];
        assert_eq!(mistakes(&alone).len(), 2);
        assert!(!config(&alone).unwrap_err().to_string().contains("s3cret"));
    }
}

#[test]
fn the_key_of_the_id_is_a_setting_per_product() {
    let ids = |text| app(&[("RTMS_HANDSHAKE_ID_KEY", text)]).handshake_ids.as_meeting;
    assert_eq!(ids("product"), []);
    assert_eq!(ids("MEETING_UUID"), Product::ALL);
    assert_eq!(ids("webinar:meeting_uuid, video_sdk:product"), [Product::Webinar]);
    for wrong in ["session_id", "webinar", "phones:meeting_uuid", "webinar:session_id", ","] {
        assert_eq!(mistakes(&[("RTMS_HANDSHAKE_ID_KEY", wrong)]), ["RTMS_HANDSHAKE_ID_KEY"]);
    }
}

#[test]
fn a_public_url_has_no_path() {
    assert_eq!(mistakes(&[("PUBLIC_URL", "https://rtms.example.com/rtms")]), ["PUBLIC_URL"]);
    let url = config(&[("PUBLIC_URL", "https://rtms.example.com/")]).unwrap().install.public_url;
    assert_eq!(url, "https://rtms.example.com");
}

#[test]
fn cookies_are_secure_when_either_url_is_https() {
    let redirect = ("ZOOM_OAUTH_REDIRECT_URL", "https://rtms.example.com/back");
    assert!(!config(&[]).unwrap().is_https());
    assert!(config(&[redirect]).unwrap().is_https());
    assert!(config(&[("PUBLIC_URL", "https://rtms.example.com")]).unwrap().is_https());
}

#[test]
fn recording_conflicts_with_keeping_no_media() {
    assert_eq!(mistakes(&[("RETENTION_MEDIA", "zero"), ("RECORD", "audio")]), ["RECORD"]);
    assert!(config(&[("RETENTION_MEDIA", "zero")]).is_ok());
    let audio = [("RETENTION_MEDIA", "30d"), ("RECORD", "audio"), ("MEDIA_TYPES", "audio")];
    assert!(config(&audio).is_ok());
}

#[test]
fn what_is_not_received_cannot_be_recorded_and_the_one_mistake_names_both_settings() {
    let errors = config(&[("RECORD", "audio,transcript,chat")]).unwrap_err();
    let [mistake] = &errors.0[..] else { panic!("{errors}") };
    assert_eq!(mistake.name, "RECORD");
    assert!(mistake.problem.contains("MEDIA_TYPES lacks audio, chat"), "{errors}");
    for types in
        [("MEDIA_TYPES", "chat,audio"), ("MEDIA_TYPES_FLAG", "1"), ("MEDIA_PRESET", "audio-only")]
    {
        assert!(config(&[("RECORD", "audio"), types]).is_ok(), "{types:?}");
    }
    assert!(config(&[("RECORD", "off")]).is_ok());
    assert_eq!(mistakes(&[("RECORD", "audio"), ("MEDIA_TYPES", "sound")]), ["MEDIA_TYPES"]);
}

#[test]
fn a_film_needs_something_to_show_and_sound_that_can_be_in_it() {
    let film = |more: &[(&str, &str)]| {
        let settings = [&[("RECORD", "meeting")], more].concat();
        config(&settings).map(|config| config.recordings)
    };
    let settings = film(&[("MEDIA_PRESET", "recording"), ("MEETING_PICTURE", "screen")]).unwrap();
    assert!(settings.record.meeting && settings.record.media.is_empty());
    let refused = |more: &[(&str, &str)]| mistakes(&[&[("RECORD", "meeting")], more].concat());
    assert_eq!(refused(&[("MEDIA_TYPES", "transcript")]), ["RECORD"]);
    let opus = [("MEDIA_TYPES", "audio"), ("AUDIO_CODEC", "opus"), ("AUDIO_SAMPLE_RATE", "48000")];
    assert_eq!(refused(&opus), ["RECORD"]);
    assert!(film(&[&opus[..], &[("AUDIO_STREAMS", "mixed")]].concat()).is_ok());
    let jpg = [("MEDIA_TYPES", "audio,share"), ("SHARE_CODEC", "jpg"), ("SHARE_FPS", "1")];
    assert!(film(&jpg).is_ok());
    let screen = [&jpg[..], &[("MEETING_PICTURE", "screen")]].concat();
    assert_eq!(refused(&screen), ["SHARE_CODEC"]);
    assert_eq!(mistakes(&[("MEETING_PICTURE", "gallery")]), ["MEETING_PICTURE"]);
}

#[test]
fn health_checks_and_metrics_need_addresses_of_their_own() {
    let serve = |changes: &[(&str, &str)]| {
        let values: HashMap<&str, &str> = GOOD.iter().chain(changes).copied().collect();
        let read = Config::to_serve(|name| values.get(name).map(ToString::to_string));
        read.map(drop).map_err(|errors| errors.to_string())
    };
    let same = [("HOST", "127.0.0.1"), ("PORT", "3001"), ("ADMIN_ADDR", "127.0.0.1:3001")];
    let refused = serve(&same).unwrap_err();
    for name in ["ADMIN_ADDR", "HOST", "PORT"] {
        assert!(refused.contains(name), "{refused}");
    }
    assert!(serve(&[("ADMIN_ADDR", "127.0.0.1:3000")]).is_err(), "HOST is every address");
    assert_eq!(serve(&[("ADMIN_ADDR", "127.0.0.1:3001")]), Ok(()));
    let beside = |metrics| serve(&[("ADMIN_ADDR", "127.0.0.1:3001"), ("METRICS_ADDR", metrics)]);
    let refused = beside("127.0.0.1:3001").unwrap_err();
    assert!(refused.contains("METRICS_ADDR") && refused.contains("ADMIN_ADDR"), "{refused}");
    assert!(beside("127.0.0.1:3000").is_err() && beside("localhost").is_err());
    assert_eq!(beside("127.0.0.1:3002"), Ok(()));
}

#[test]
fn the_proxy_is_read_in_upper_and_lower_case_and_its_password_is_not_printed() {
    let config =
        config(&[("https_proxy", "http://ana:s3cret@proxy.corp:3128"), ("NO_PROXY", ".internal")]);
    let config = config.unwrap();
    assert!(config.proxy.proxy_for("rtms.zoom.us", 443).is_some());
    assert!(config.proxy.proxy_for("minio.internal", 443).is_none());
    assert!(!format!("{config:?}").contains("s3cret"));
    let errors = super::tests::config(&[("HTTPS_PROXY", "socks5://ana:s3cret@proxy.corp")]);
    let errors = errors.unwrap_err().to_string();
    assert!(errors.contains("HTTPS_PROXY") && !errors.contains("s3cret"), "{errors}");
}

#[test]
fn an_unescaped_password_is_reported_with_the_escape_to_write_and_not_printed() {
    for (name, url) in [
        ("DATABASE_URL", "postgres://ana:s3@cret@db.corp/rtmsd"),
        ("DATABASE_URL", "postgres://ana:s3:cret/@db.corp/rtmsd"),
        ("DATABASE_URL", "postgres://ana:s3cret@[db.corp/rtmsd"),
        ("HTTPS_PROXY", "http://ana:s3@cret@proxy.corp:3128"),
        ("NATS_URL", "nats://ana:s3#cret@broker:4222"),
    ] {
        let errors = config(&[(name, url)]).unwrap_err().to_string();
        assert!(errors.contains(name) && errors.contains("percent-encoded"), "{url}: {errors}");
        assert!(!errors.contains("cret") && !errors.contains("corp"), "{errors}");
    }
    assert!(config(&[("DATABASE_URL", "postgres://ana:s3%40cret:x@db.corp/rtmsd")]).is_ok());
}
