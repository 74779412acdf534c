//! Starts the daemon with the `.env` of each of Zoom's samples, with at most the webhook's secret token added. The
//! variables are those of the `.env.example` files in zoom/rtms-samples, zoom/rtms and zoom/arlo, with placeholders
//! filled in. Samples with the same variables share a test.

use std::fs;

use crate::support::kit::eventually;
use crate::support::process::{Ended, Process};

/// Makes one test per sample from its name, the resulting webhook path, and the file's content.
macro_rules! samples {
    ($($(#[$samples:meta])* $name:ident, $webhook_path:literal, $env:literal;)*) => {
        $($(#[$samples])*
        #[tokio::test]
        async fn $name() {
            starts($env, $webhook_path).await;
        })*
    };
}

/// Runs `rtmsd` with this `.env` and an address that no other test uses.
async fn run(command: &str, env: &str) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let env: String = env.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    let has_token = env.contains("ZOOM_SECRET_TOKEN=") || env.contains("ZM_RTMS_SECRET_TOKEN=");
    let added = if has_token { "" } else { "ZOOM_SECRET_TOKEN=added\n" };
    fs::write(folder.path().join(".env"), format!("{env}{added}")).unwrap();
    let variables =
        [("HOST".to_owned(), "127.0.0.1".to_owned()), ("PORT".to_owned(), "0".to_owned())];
    (Process::spawn(&[command], &variables, folder.path()), folder)
}

async fn starts(env: &str, webhook_path: &str) {
    let (process, folder) = run("serve", env).await;
    let listens = eventually("the daemon listens", async || process.logged("rtmsd listens")).await;
    assert_eq!(listens["webhook_path"], webhook_path);
    assert!(folder.path().join("data/api-token").exists());
    process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
}

async fn checked(env: &str) -> Ended {
    let (process, _folder) = run("check", env).await;
    process.ended().await
}

samples! {
    working_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZOOM_CLIENT_ID = "yyyyy"
        ZOOM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH="/webhook"
        FRONTEND_WSS_URL_TO_CONNECT_TO="wss://example.com/ws"
        zoomWSURLForEvents="wss://ws.zoom.us/ws?subscriptionId=xxxxx"

        ZOOM_S2S_CLIENT_ID="xxxxx"
        ZOOM_S2S_CLIENT_SECRET="xxxxx"
        ZOOM_ACCOUNT_ID="xxxxx"
        # unified requires 32; split supports masks.
        MEDIA_SOCKET_CONNECTION_MODE="unified"
        MEDIA_TYPES_FLAG=32
        VIDEO_CLIENT_ID="xxxxx"
        VIDEO_CLIENT_SECRET="xxxxx"
        VIDEO_SECRET_TOKEN="xxxxx"
        RTMSTRIGGERMANAGERTYPE="webhook"
        SERVE_STATIC_ENABLED="true"
        FRONTEND_WSS_PATH="/ws"
        AUDIO_STREAM_MODE="mixed"
        VIDEO_STREAM_MODE="active"
        DEFAULT_VIDEO_SUBSCRIPTION_USER_ID=""
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
    "#;
    /// working_python has the same.
    working_go, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        ZOOM_CLIENT_ID="yyyyy"
        ZOOM_CLIENT_SECRET="xxxxx"
        MEDIA_SOCKET_CONNECTION_MODE=split
        MEDIA_TYPES_FLAG=11
        PORT=3000
        WEBHOOK_PATH=/webhook
    "#;
    working_dotnetcore, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        ZOOM_CLIENT_ID = "yyyyy"
        ZOOM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH = "/webhook"
        MEDIA_TYPES_FLAG = 11
        MEDIA_SOCKET_CONNECTION_MODE = "split"
    "#;
    working_java, "/hook", r#"
        ZOOM_CLIENT_ID=xxxxxx
        ZOOM_CLIENT_SECRET=yyyyyy
        ZOOM_SECRET_TOKEN=xzzzzzz
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        SERVER_PORT=3000
        APP_WEBHOOK_PATH=/hook
        APP_MODE=webhook
        MEDIA_SOCKET_CONNECTION_MODE=split
        MEDIA_TYPES_FLAG=11
    "#;
    working_sdk, "/", r#"
        ZM_RTMS_CLIENT=xxxxx
        ZM_RTMS_SECRET="xxxxx"
        ZM_RTMS_SECRET_TOKEN="xxxxx"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        # ZM_RTMS_CA=/path/to/ca.pem
        # ZM_RTMS_LOG_ENABLED=true
        ZM_RTMS_LOG_LEVEL=info
        ZM_RTMS_LOG_FORMAT=json
        ZM_RTMS_PATH="/"
        ZM_RTMS_PORT=8080
    "#;
    working_cplusplus_wss, "/webhook", r#"
        ZOOM_EVENT_WS=wss://zoom_event.example.com/ws
        CLIENT_ID=xxxxxxxxxxxxxxxxxxx
        CLIENT_SECRET=yyyyyyyyyyyyyyyyyyyyy
    "#;
    working_python_wss, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZOOM_CLIENT_ID="xxxxx"
        ZOOM_CLIENT_SECRET="xxxxx"
        ZOOM_EVENT_WS_BASE="wss://ws.zoom.us/ws?subscriptionId=xxxxx"
        PORT=3000
        WEBHOOK_PATH=/webhook
        INITIAL_DUPLICATE_SIGNAL_RETRY_DELAY_SEC=1.5
        LOG_LEVEL="DEBUG"
        MAX_DUPLICATE_SIGNAL_RETRIES=3
    "#;
    working_python_wss_zoom_room_screenshot, "/webhook", r#"
        ZOOM_SECRET_TOKEN=xxxxx
        ZM_CLIENT_ID=xxxxx
        ZM_CLIENT_SECRET=xxxxx
        ZOOM_EVENT_WS_BASE=wss://ws.zoom.us/ws?subscriptionId=xxxxx
        ZOOM_ACCOUNT_ID=xxxxxx
        ZOOM_MEETING_NUMBER=1231231234
        ZOOM_MEETING_PASSCODE=123123
        S2S_ZM_CLIENT_ID=999
        S2S_ZM_CLIENT_SECRET=999
        PORT=3000
        WEBHOOK_PATH=/webhook
    "#;
    working_sdk_zoom_room_screenshot, "/webhook", r#"
        ZM_RTMS_CLIENT=
        ZM_RTMS_SECRET=
        ZOOM_CLIENT_ID=xxxxx
        ZOOM_CLIENT_SECRET=xxxxx
        ZOOM_ACCOUNT_ID=xxxxx
        ZOOM_MEETING_NUMBER=1231231234
        ZOOM_MEETING_PASSCODE=123123
    "#;
    /// The library zoom/rtms, and with it rtms-quickstart-js, rtms-quickstart-py, print_video_sdk and save_video_sdk.
    rtms_library, "/webhook", r#"
        ZM_RTMS_CLIENT=xxxxx
        ZM_RTMS_SECRET=xxxxx
    "#;
    print_audio_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZM_CLIENT_ID = "yyyyy"
        ZM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH ="/webhook"
    "#;
    /// save_audio_js, save_transcript_js, save_video_js, print_screen_share_js, subscribe_and_print_events_js and
    /// vsdk_working_python have the same.
    save_audio_python, "/webhook", r#"
        ZOOM_SECRET_TOKEN=xxxxx
        ZOOM_CLIENT_ID=xxxxx
        ZOOM_CLIENT_SECRET=xxxxx
        PORT=3000
        WEBHOOK_PATH="/webhook"
    "#;
    send_audio_to_assemblyai_sdk, "/", r#"
        ZM_RTMS_CLIENT="xxxxx"
        ZM_RTMS_SECRET="xxxxx"
        ZM_RTMS_SECRET_TOKEN=xxxxx
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        ZM_RTMS_PORT=5050
        ZM_RTMS_PATH=/
        ASSEMBLYAI_API_KEY="xxxxx"
        REALTIME_ENABLED=true
        REALTIME_MODE=mixed
        AUDIO_SAMPLE_RATE=16000
        TARGET_CHUNK_DURATION_MS=100
    "#;
    send_audio_to_aws_transcribe_sdk, "/", r#"
        ZM_RTMS_CLIENT="xxxxx"
        ZM_RTMS_SECRET="xxxxx"
        ZM_RTMS_SECRET_TOKEN=xxxxx
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        ZM_RTMS_PORT=5050
        ZM_RTMS_PATH=/
        AWS_ACCESS_KEY_ID="xxxxx"
        AWS_SECRET_ACCESS_KEY="xxxxx"
        AWS_REGION=us-east-1
        LANGUAGE_CODE=en-US
    "#;
    send_audio_to_azure_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZOOM_CLIENT_ID = "yyyyy"
        ZOOM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH="/webhook"
        AZURE_SPEECH_KEY=xxxxx
        AZURE_REGION=southeastasia
    "#;
    send_audio_to_whisper_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN=xxxxx
        ZOOM_CLIENT_ID=yyyyy
        ZOOM_CLIENT_SECRET=xxxxx
        PORT=3000
        WEBHOOK_PATH=/webhook
        WHISPER_MODEL=tiny
        WHISPER_LANGUAGE=en
        WHISPER_CHUNK_DURATION_MS=3000
    "#;
    send_audio_to_openai_realtime, "/", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZOOM_CLIENT_ID="xxxxx"
        ZOOM_CLIENT_SECRET="xxxxx"
        PORT=5050
        WEBHOOK_PATH="/"
        AUDIO_SAMPLE_RATE=48000
        TARGET_CHUNK_DURATION_MS=100
        OPENAI_API_KEY=""
        OPENAI_REALTIME_MODEL="gpt-realtime-2"
        ZOOM_MCP_SERVER_URL="https://mcp.zoom.us/mcp/zoom/streamable"
        ZOOM_MCP_ACCESS_TOKEN="xxxxx"
        ZOOM_MCP_ALLOWED_TOOLS="search_meetings,search_zoom"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
    "#;
    /// send_audio_to_zoom_scribe_transcribe_service_js has the same.
    send_individual_audio_to_zoom_scribe_js, "/webhook", r#"
        PORT=3000
        WEBHOOK_PATH=/webhook
        RTMSTRIGGERMANAGERTYPE=webhook
        MEDIA_SOCKET_CONNECTION_MODE=split
        ZOOM_CLIENT_ID=xxxxx
        ZOOM_CLIENT_SECRET=xxxxx
        ZOOM_S2S_CLIENT_ID=
        ZOOM_S2S_CLIENT_SECRET=
        ZOOM_ACCOUNT_ID=
        zoomWSURLForEvents=
        ZOOM_API_KEY=
        ZOOM_API_SECRET=
        SCRIBE_LIVE_URL=wss://api.zoom.us/v2/aiservices/scribe/live
        SCRIBE_LANGUAGE=en-US
        # Optional JSON vocabulary.
        SCRIBE_VOCABULARY_JSON=
        # Example: SCRIBE_VOCABULARY_JSON={"phrases":["AIAGW"]}
        SCRIBE_POOL_SIZE=3
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
    "#;
    rtms_distributed_sample, "/webhook", r#"
        HUB_PORT=4000
        WEBHOOK_PATH=/webhook
        HUB_DELIVERY_MODE=http
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        VIDEO_SECRET_TOKEN=
        REGIONAL_SPOKE_ENDPOINTS='{"IAD":"http://127.0.0.1:4200/spoke/webhook"}'
        AWS_ACCESS_KEY_ID=
        AWS_SECRET_ACCESS_KEY=
        MEDIA_RECORDING_ENABLED=true
        RTMS_LOG_LEVEL=info
        ZOOM_CLIENT_ID=xxxxx
        ZOOM_CLIENT_SECRET=xxxxx
        VIDEO_CLIENT_ID=
        VIDEO_CLIENT_SECRET=
        MEDIA_TYPES_FLAG=32
        MEDIA_SOCKET_CONNECTION_MODE=split
        AUDIO_STREAM_MODE=mixed
        VIDEO_STREAM_MODE=active
    "#;
    /// manual_start_stop_using_js has the same.
    manual_start_stop_using_python, "/webhook", r#"
        ZOOM_CLIENT_ID="xxxxx"
        ZOOM_CLIENT_SECRET="xxxxx"
        ZOOM_SECRET_TOKEN="xxxxx"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        WEBHOOK_PATH=/webhook
        PORT=3000
        access_token="xxxxx"
        MAX_DUPLICATE_SIGNAL_RETRIES=3
        RTMS_PARTICIPANT_USER_ID="xxxxx"
    "#;
    reconnection_and_chaos_mode_js, "/webhook", r#"
        ZOOM_CLIENT_ID=xxxxx
        ZOOM_CLIENT_SECRET=xxxxx
        ZOOM_SECRET_TOKEN=xxxxx
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        PORT=3000
        WEBHOOK_PATH=/webhook
        # Get these from https://marketplace.zoom.us/ → your app → App Credentials
        CHAOS_SUPPRESS_SIGNALING_KEEPALIVE=false
        CHAOS_FORCE_DISCONNECT_MEDIA_AFTER_SEC=0
    "#;
    mcp_client, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        ZOOM_CLIENT_ID = "yyyyy"
        ZOOM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH="/webhook"
        LLM_MCP_SERVER_URL="http://localhost:3000/mcp"
    "#;
    /// save_audio_and_video_to_local_storage_js has the same without the bucket.
    save_audio_and_video_to_aws_s3_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZOOM_CLIENT_ID="xxxxx"
        ZOOM_CLIENT_SECRET="xxxxx"
        PORT=3000
        WEBHOOK_PATH="/webhook"
        RTMSTRIGGERMANAGERTYPE="webhook"
        zoomWSURLForEvents="wss://ws.zoom.us/ws?subscriptionId=xxxxx"
        ZOOM_S2S_CLIENT_ID="xxxxx"
        ZOOM_S2S_CLIENT_SECRET="xxxxx"
        ZOOM_ACCOUNT_ID="xxxxx"
        VIDEO_CLIENT_ID="xxxxx"
        VIDEO_CLIENT_SECRET="xxxxx"
        VIDEO_SECRET_TOKEN="xxxxx"
        MEDIA_SOCKET_CONNECTION_MODE="split"
        MEDIA_TYPES_FLAG=3
        AWS_REGION=us-east-1
        AWS_ACCESS_KEY_ID="xxxxx"
        AWS_SECRET_ACCESS_KEY="xxxxx"
        S3_BUCKET="xxxxx"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
    "#;
    save_audio_and_video_to_azure_sdk, "/webhook", r#"
        ZM_RTMS_CLIENT=xxxxx
        ZM_RTMS_SECRET=xxxxx
        ZM_RTMS_SECRET_TOKEN=xxxxx
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        AZURE_STORAGE_CONNECTION_STRING=DefaultEndpointsProtocol=https;AccountName=x;AccountKey=y==;EndpointSuffix=core.windows.net
    "#;
    save_edited_audio_and_video_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZOOM_CLIENT_ID="xxxxx"
        ZOOM_CLIENT_SECRET="xxxxx"
        PORT=3000
        WEBHOOK_PATH="/webhook"
        ZOOM_S2S_CLIENT_ID="xxxxx"
        ZOOM_S2S_CLIENT_SECRET="xxxxx"
        ZOOM_ACCOUNT_ID="xxxxx"
        VIDEO_CLIENT_ID="xxxxx"
        VIDEO_CLIENT_SECRET="xxxxx"
        VIDEO_SECRET_TOKEN="xxxxx"
        LOG_LEVEL="info"
        MEDIA_SOCKET_CONNECTION_MODE="split"
        MEDIA_TYPES_FLAG=11
        AI_API_URL="https://api.openai.com/v1/chat/completions"
        AI_DEFAULT_EDITING_BRIEF="Create a concise highlight video with clear context."
    "#;
    /// The other samples under streaming/ have the same with keys of other names.
    stream_to_aws_kinesis_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        ZOOM_CLIENT_ID = "yyyyy"
        ZOOM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH="/webhook"
        AWS_ACCESS_KEY_ID=xxxxx
        AWS_SECRET_ACCESS_KEY=yyyyy
        AWS_REGION=us-east-1
        STREAM_NAME=xxxx-xxxx-xxxx
        YOUTUBE_STREAM_KEY = xxxx-yyyy-zzzz
        IVS_RTMP_URL = rtmps://example.com/app/key
    "#;
    /// send_transcript_to_openai_js and send_transcript_to_openrouter_js have the same with keys of other names.
    send_transcript_to_claude_js, "/", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZM_CLIENT_ID = "yyyyy"
        ZM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH = '/'

        ANTHROPIC_API_KEY=="your-key-here"
    "#;
    /// vsdk_transcription_js has the same.
    vsdk_working_js, "/", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        ZOOM_CLIENT_ID="xxxxx"
        ZOOM_CLIENT_SECRET="xxxxx"
        PORT = 3000
        WEBHOOK_PATH="/"
    "#;
    vsdk_working_java, "/webhook", r#"
        ZOOM_CLIENT_ID=xxxxxx
        ZOOM_CLIENT_SECRET=yyyyyy
        ZOOM_SECRET_TOKEN=xzzzzzz
        SERVER_PORT=3000
        APP_WEBHOOK_PATH=/webhook
        APP_MODE=webhook
    "#;
    individual_video_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZOOM_CLIENT_ID = "yyyyy"
        ZOOM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH="/webhook"
        ZOOM_S2S_CLIENT_ID="xxxxx"
        ZOOM_S2S_CLIENT_SECRET="xxxxx"
        ZOOM_ACCOUNT_ID="xxxxx"
        MEDIA_TYPES_FLAG=2
        VIDEO_CLIENT_ID="xxxxx"
        VIDEO_CLIENT_SECRET="xxxxx"
        VIDEO_SECRET_TOKEN="xxxxx"
        MEDIA_SOCKET_CONNECTION_MODE="split"
        AUDIO_STREAM_MODE="mixed"
        VIDEO_STREAM_MODE="individual"
    "#;
    print_chat_messages_js, "/webhook", r#"
        ZOOM_CLIENT_ID=xxxxx
        ZOOM_CLIENT_SECRET=xxxxx
        ZOOM_SECRET_TOKEN=xxxxx
        PORT=3000
        WEBHOOK_PATH=/webhook
        MEDIA_SOCKET_CONNECTION_MODE=split
        RTMS_LOG_LEVEL=info
        PRINT_FULL_CHAT_PAYLOAD=false
    "#;
    ai_rag_customer_support_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZOOM_CLIENT_ID = "yyyyy"
        ZOOM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH="/webhook"
        FRONTEND_WSS_URL_TO_CONNECT_TO="wss://example.com/ws"
        OPENROUTER_API_KEY="xxxxx"
        MODEL_ID=meta-llama/llama-4-maverick:free
        EMBEDDING_MODEL_ID=thenlper/gte-small
    "#;
    /// ai_chat_with_audio_playback_js and rtms_control_on_zoom_apps_js have the same.
    start_stop_rtms_control_js, "/webhook", r#"
        ZOOM_SECRET_TOKEN="xxxxx"
        ZOOM_CLIENT_ID = "yyyyy"
        ZOOM_CLIENT_SECRET = "xxxxx"
        PORT = 3000
        WEBHOOK_PATH="/webhook"
        WS_URL="wss://example.com/ws"
        MODE="webhook"
        zoomWSURLForEvents="wss://ws.zoom.us/ws?subscriptionId=xxxxx"
        ZOOM_S2S_CLIENT_ID="xxxxx"
        ZOOM_S2S_CLIENT_SECRET="xxxxx"
        ZOOM_ACCOUNT_ID="xxxxx"
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
    "#;
    prompt_for_user_consent_js, "/webhook", r#"
        ZOOM_APP_CLIENT_ID=xxxxx
        ZOOM_APP_CLIENT_SECRET=xxxxx
        PUBLIC_URL=https://example.ngrok-free.app
        ZOOM_APP_REDIRECT_URI=https://example.ngrok-free.app/api/zoomapp/auth
        SESSION_SECRET=change_this
        REDIS_ENCRYPTION_KEY=change_this
        REDIS_URL=redis://localhost:6379
        PORT=3000
        NODE_ENV=development
        ZOOM_SECRET_TOKEN=xxxxx
        WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS=300
        INTERNAL_WEBHOOK_TOKEN=xxxxx
    "#;
    stream_audio_and_video_deepfake_detection_js, "/webhook", r#"
        PORT=5050
        PUBLIC_BASE_URL=https://your-domain.example.com
        WEBHOOK_PATH=/webhook
        ZOOM_CLIENT_ID=xxxxx
        ZOOM_CLIENT_SECRET=xxxxx
        MEDIA_SOCKET_CONNECTION_MODE=split
        MEDIA_TYPES_FLAG=3
        VIDEO_STREAM_MODE=individual
        AUDIO_STREAM_MODE=multi
        VIDEO_RESOLUTION=HD
        VIDEO_FPS=25
        AUDIO_SEND_RATE=100
        DEEPFAKE_REAL_THRESHOLD=0.75
        OVERLAY_LABEL_PREFIX=Verified by
        LOG_LEVEL=debug
    "#;
}

/// zoom/arlo and zoom/arlo-meeting-assistant use a shared database, so two more settings are required.
const ARLO: &str = r"
    ZOOM_CLIENT_ID=xxxxx
    ZOOM_CLIENT_SECRET=xxxxx
    ZOOM_APP_ID=
    ZOOM_HOST=zoom.us
    PUBLIC_URL=https://example.ngrok-free.app
    ZOOM_APP_REDIRECT_URI=${PUBLIC_URL}/api/auth/callback
    SESSION_SECRET=xxxxx
    TOKEN_ENCRYPTION_KEY=
    REDIS_ENCRYPTION_KEY=xxxxx
    DEFAULT_MODEL=openai/gpt-oss-120b:free
    PORT=3000
    NODE_ENV=development
    FRONTEND_URL=http://localhost:3001
    ZOOM_WEBHOOK_SECRET_TOKEN=
    RTMS_WEBHOOK_SECRET=
    RTMS_CLIENT_ID=
    RTMS_PORT=3002
    LOG_LEVEL=info
    S3_BUCKET=
";

#[tokio::test]
async fn arlo_without_its_database_starts() {
    starts(ARLO, "/webhook").await;
}

#[tokio::test]
async fn arlo_with_postgres_is_asked_for_a_token_and_a_key_and_nothing_else() {
    let ended = checked(&format!("{ARLO}\nDATABASE_URL=postgresql://u:s3cret@postgres/x")).await;
    assert_eq!(ended.code(), 2, "{ended:?}");
    let mistakes: Vec<&str> =
        ended.err.lines().skip(1).filter_map(|line| line.trim().split(": ").next()).collect();
    assert_eq!(mistakes, ["API_TOKENS", "TOKEN_ENCRYPTION_KEYS"], "{}", ended.err);
}

#[tokio::test]
async fn arlo_with_mysql_is_asked_for_another_database_in_the_same_list() {
    let ended = checked(&format!("{ARLO}\nDATABASE_URL=mysql://u:s3cret@mysql/x")).await;
    assert_eq!(ended.code(), 2, "{ended:?}");
    for name in ["DATABASE_URL: must be a postgres:// URL", "API_TOKENS", "TOKEN_ENCRYPTION_KEYS"] {
        assert!(ended.err.contains(name), "{name}: {}", ended.err);
    }
    assert!(!ended.err.contains("s3cret"), "{}", ended.err);
}
