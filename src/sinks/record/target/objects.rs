//! Recordings in S3, Google Cloud Storage and Azure.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{ClientConfigKey, HttpClient, HttpConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Attribute, Attributes, ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore,
    ObjectStoreExt, RetryConfig,
};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use url::Url;

use super::{Content, FileUpload, TargetError};
use crate::model::RecordingId;
use crate::net::Network;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a store may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest file that is uploaded in one request; a larger one is uploaded in parts.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// The most parts of a file that are uploaded at once.
const PARTS_AT_ONCE: usize = 4;

/// The metadata key of an object that holds the recording's id.
const OWNER: &str = "rtmsd-recording";

/// The variables of each kind of store, with the names that its own tools use.
const S3: [&str; 17] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
];
const GOOGLE: [&str; 5] = [
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SKIP_SIGNATURE",
];
const AZURE: [&str; 13] = [
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_STORAGE_USE_EMULATOR",
    "AZURE_ALLOW_HTTP",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
];

/// The variables of every kind of store.
pub(super) fn all_variables() -> impl Iterator<Item = &'static str> {
    S3.into_iter().chain(GOOGLE).chain(AZURE)
}

/// The variables for the store of a URL; `None` if the URL names no store.
pub(super) fn store_variables(url: &Url) -> Option<&'static [&'static str]> {
    url.host_str().filter(|host| !host.is_empty())?;
    match url.scheme() {
        "s3" => Some(&S3),
        "gs" => Some(&GOOGLE),
        "az" => Some(&AZURE),
        _ => None,
    }
}

/// An object store. It makes few retries of its own: the uploader retries as long as needed.
#[derive(Debug, Clone)]
pub struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }

    pub(super) fn open(
        url: &Url,
        options: &[(&str, String)],
        network: &Network,
    ) -> object_store::Result<Self> {
        let store = build_store(url, options, network)?;
        let prefix = Path::from_url_path(url.path())?;
        if prefix.as_ref().is_empty() {
            return Ok(Self(store));
        }
        Ok(Self(Arc::new(PrefixStore::new(store, prefix))))
    }

    /// Uploads a file: in one request, or in parts that become visible together.
    pub async fn put(&self, file: &FileUpload<'_>) -> Result<(), TargetError> {
        let mut content = File::open(file.from).await.map_err(super::missing_or_failed)?;
        let bytes = content.metadata().await?.len();
        let path = parse_path(file.path)?;
        // Checked and then written: object stores have no portable write that never replaces.
        if !self.may_put(&path, file.owner, bytes).await? {
            return Err(TargetError::Taken);
        }
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, file.content_type.to_owned()),
            (Attribute::Metadata(OWNER.into()), file.owner.to_string()),
        ]);
        if bytes <= PART_BYTES as u64 {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).await?;
            let whole = self.0.put_opts(&path, bytes.into(), attributes.into());
            return whole.await.map(drop).map_err(target_error);
        }
        let upload =
            self.0.put_multipart_opts(&path, attributes.into()).await.map_err(target_error)?;
        let mut upload = Upload(Some(upload));
        upload.send(&mut content).await?;
        // Completed, so there is nothing to abort.
        upload.0 = None;
        Ok(())
    }

    /// Whether no other recording's file is there. Earlier versions did not store the recording's id: a file of the
    /// same size counts as this one, uploaded before.
    async fn may_put(
        &self,
        path: &Path,
        owner: RecordingId,
        bytes: u64,
    ) -> Result<bool, TargetError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.0.get_opts(path, options).await {
            Ok(there) => Ok(match there.attributes.get(&Attribute::Metadata(OWNER.into())) {
                Some(of) => **of == owner.to_string(),
                None => there.meta.size == bytes,
            }),
            Err(error) if is_hidden(&error) => Ok(true),
            Err(error) => Err(target_error(error)),
        }
    }

    /// Whether a path has no objects.
    pub async fn is_free(&self, path: &str) -> Result<bool, TargetError> {
        match self.0.list(Some(&parse_path(path)?)).next().await.transpose() {
            Ok(first) => Ok(first.is_none()),
            Err(error) if is_hidden(&error) => Ok(true),
            Err(error) => Err(target_error(error)),
        }
    }

    pub async fn get(&self, path: &str, range: Range<u64>) -> Result<Content, TargetError> {
        // Stores reject an empty range.
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let range = Some(GetRange::Bounded(range));
        let options = GetOptions { range, ..GetOptions::default() };
        let found = self.0.get_opts(&parse_path(path)?, options).await.map_err(target_error)?;
        Ok(found.into_stream().map_err(target_error).boxed())
    }

    /// Writes a small object, reads it back and deletes it.
    pub async fn probe(&self, name: &str) -> Result<(), TargetError> {
        let path = parse_path(name)?;
        self.0.put(&path, super::PROBE.into()).await.map_err(target_error)?;
        // As recordings are read.
        let read =
            async { self.get(name, 0..super::PROBE.len() as u64).await?.try_collect().await };
        let read: Result<Vec<Bytes>, TargetError> = read.await;
        // Before the result of the reading: nothing is left behind.
        self.0.delete(&path).await.map_err(target_error)?;
        match read?.concat() == super::PROBE {
            true => Ok(()),
            false => Err(TargetError::Missing),
        }
    }

    pub async fn remove(&self, path: &str) -> Result<(), TargetError> {
        match self.0.delete(&parse_path(path)?).await.map_err(target_error) {
            Err(TargetError::Missing) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A multipart upload. The parts of a failed or cancelled one cost money until they are aborted.
struct Upload(Option<Box<dyn MultipartUpload>>);

impl Upload {
    async fn send(&mut self, file: &mut File) -> Result<(), TargetError> {
        let Some(upload) = &mut self.0 else { return Ok(()) };
        let mut sending = FuturesUnordered::new();
        loop {
            let mut part = Vec::with_capacity(PART_BYTES);
            (&mut *file).take(PART_BYTES as u64).read_to_end(&mut part).await?;
            if part.is_empty() {
                break;
            }
            // Bounds memory: four parts on their way, and one that was read.
            if sending.len() >= PARTS_AT_ONCE {
                sending.next().await.transpose().map_err(target_error)?;
            }
            sending.push(upload.put_part(part.into()));
        }
        while let Some(sent) = sending.next().await {
            sent.map_err(target_error)?;
        }
        upload.complete().await.map(drop).map_err(target_error)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and nothing can be sent.
        let (Some(mut upload), Ok(runtime)) = (self.0.take(), Handle::try_current()) else {
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = upload.abort().await {
                tracing::debug!(%error, "could not abort a cancelled upload; its parts are left in the store");
            }
        });
    }
}

/// The object does not exist, or these credentials may only write and so cannot see it.
fn is_hidden(error: &object_store::Error) -> bool {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    matches!(error, NotFound { .. } | PermissionDenied { .. } | Unauthenticated { .. })
}

fn parse_path(path: &str) -> Result<Path, TargetError> {
    Path::parse(path).map_err(|error| target_error(error.into()))
}

fn target_error(error: object_store::Error) -> TargetError {
    match error {
        object_store::Error::NotFound { .. } => TargetError::Missing,
        error => TargetError::Objects(error),
    }
}

fn build_store(
    url: &Url,
    options: &[(&str, String)],
    network: &Network,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let connector = Connector(network.clone());
    let retry = RetryConfig {
        max_retries: 2,
        retry_timeout: Duration::from_secs(20),
        ..RetryConfig::default()
    };
    /// The three builders are alike but share no trait.
    macro_rules! store {
        ($builder:ty) => {{
            let mut builder = <$builder>::new().with_url(url.as_str());
            for (name, value) in options {
                let Ok(key) = name.to_ascii_lowercase().parse() else { continue };
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
        }};
    }
    Ok(match url.scheme() {
        "s3" => store!(AmazonS3Builder),
        "gs" => store!(GoogleCloudStorageBuilder),
        _ => store!(MicrosoftAzureBuilder),
    })
}

/// The daemon's HTTP client for the store's protocol: one TLS provider, one proxy, and timeouts.
struct Connector(Network);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        let client = self
            .0
            .http_client()
            // `http://` only on request: an endpoint with a typing error must not get the keys in clear text.
            .https_only(allows_http.as_deref() != Some("true"))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()
            .map_err(|error| object_store::Error::Generic {
                store: "HTTP",
                source: Box::new(error),
            })?;
        Ok(HttpClient::new(client))
    }
}

#[cfg(test)]
mod tests;
