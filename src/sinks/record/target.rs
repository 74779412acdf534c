//! The destination of recordings: a folder or an object store.

mod folder;
mod objects;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::ObjectStore;
use thiserror::Error;
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::task::spawn_blocking;
use url::Url;

use self::objects::Objects;
use crate::model::RecordingId;
use crate::net::Network;
use crate::zoom::app::OwnPlace;

/// What a probe writes.
const PROBE: &[u8] = b"rtmsd checks this place";
/// The size of one read of a file.
const READ_BYTES: usize = 64 * 1024;

/// The checked `RECORDINGS_URL`, with the environment's settings of its store.
#[derive(Debug, Clone)]
pub enum Place {
    Folder(PathBuf),
    /// `s3://`, `gs://` or `az://`, and the settings of that store by name, which may hold secrets.
    Url {
        url: Url,
        options: Vec<(&'static str, String)>,
    },
    /// An object store of the caller.
    Objects(Arc<dyn ObjectStore>),
}

/// Why a destination cannot be used. Contains no address and no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PlaceError {
    #[error("a folder, file:///folder, s3://bucket/path, gs://bucket/path or az://container/path")]
    Form,
    #[error("complete: its store's own variables are missing or wrong (see docs/recordings.md)")]
    Store,
}

/// Why a file could not be stored, read or removed.
#[derive(Debug, Error)]
pub enum TargetError {
    #[error("there is no such file")]
    Missing,
    /// The existing file is not replaced.
    #[error("another file has its name at the destination: move that one away")]
    Taken,
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("{0}")]
    Objects(object_store::Error),
}

impl TargetError {
    /// The kind of the error, in words without addresses or anything that the store said.
    pub fn kind(&self) -> &'static str {
        use object_store::Error as E;
        match self {
            Self::Missing => "what was written is not there",
            Self::Taken => "another file has its name",
            Self::File(_) => "the file system refuses it",
            Self::Objects(E::NotFound { .. }) => "there is no such bucket or object",
            Self::Objects(E::PermissionDenied { .. }) => "the credentials lack the permission",
            Self::Objects(E::Unauthenticated { .. }) => "the credentials are refused",
            Self::Objects(_) => "the store does not answer, or answers with an error",
        }
    }
}

/// A file's bytes.
pub type Content = BoxStream<'static, Result<Bytes, TargetError>>;

/// Who may read the files and folders that recordings create.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// The daemon's user: 0600 and 0700.
    #[default]
    Owner,
    /// Also its group: 0640 and 0750.
    Group,
}

/// A file to be uploaded.
#[derive(Debug, Clone, Copy)]
pub struct FileUpload<'a> {
    /// The path of the source.
    pub from: &'a Path,
    /// The path at the destination.
    pub path: &'a str,
    pub content_type: &'a str,
    /// The recording that the file belongs to.
    pub owner: RecordingId,
}

/// The destination of recordings. Paths are relative, with `/`.
#[derive(Debug, Clone)]
pub enum Target {
    Folder(PathBuf, Access),
    Objects(Objects),
}

/// The variables of every kind of object store.
pub fn store_variables() -> impl Iterator<Item = &'static str> {
    objects::all_variables()
}

/// Whether a variable is one of an object store.
pub fn is_store_variable(name: &str) -> bool {
    store_variables().any(|variable| variable == name)
}

impl Place {
    /// `lookup` returns the environment variables of the store's kind.
    pub fn parse(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, PlaceError> {
        if !text.contains("://") {
            return Ok(Self::Folder(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|_| PlaceError::Form)?;
        if url.scheme() == "file" {
            return url.to_file_path().map(Self::Folder).map_err(|()| PlaceError::Form);
        }
        let names = objects::store_variables(&url).ok_or(PlaceError::Form)?;
        let value = |name: &&'static str| Some((*name, lookup(name)?));
        let place = Self::Url { url, options: names.iter().filter_map(value).collect() };
        // Built once to find mistakes now, and again where TLS is set up.
        let tls = crate::tls::client_config(None).map_err(|_| PlaceError::Store)?;
        Target::open(&place, Access::Owner, &Network::direct(tls)).map(|_| place)
    }

    /// The place that an app sets for its recordings.
    pub fn of_app(own: &OwnPlace) -> Result<Self, PlaceError> {
        let option = |name: &str| {
            let found = own.options.iter().find(|(option, _)| *option == name);
            found.map(|(_, value)| value.expose().clone())
        };
        Self::parse(own.url.expose(), &option)
    }

    /// What names it in the store and in messages: the absolute folder, or the URL without credentials and query.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(folder) => {
                let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
                folder.display().to_string()
            }
            Self::Url { url, .. } => {
                let mut url = url.clone();
                // Refused only by URLs that cannot have any.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.set_query(None);
                url.set_fragment(None);
                url.to_string()
            }
            Self::Objects(store) => store.to_string(),
        }
    }

    /// The settings of its object store.
    pub fn options(&self) -> &[(&'static str, String)] {
        match self {
            Self::Url { options, .. } => options,
            _ => &[],
        }
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            _ => None,
        }
    }
}

impl Target {
    /// Opens the destination without connecting to it.
    pub fn open(place: &Place, access: Access, network: &Network) -> Result<Self, PlaceError> {
        match place {
            Place::Folder(folder) => Ok(Self::Folder(folder.clone(), access)),
            Place::Objects(store) => Ok(Self::Objects(Objects::new(Arc::clone(store)))),
            Place::Url { url, options } => {
                let objects =
                    Objects::open(url, options, network).map_err(|_| PlaceError::Store)?;
                Ok(Self::Objects(objects))
            }
        }
    }

    /// Whether every daemon reaches the same files. A folder may be local to each machine.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Objects(_))
    }

    /// Moves a file to the destination atomically. Succeeds if it was moved before; never replaces another file.
    pub async fn upload(&self, file: &FileUpload<'_>) -> Result<(), TargetError> {
        match self {
            Self::Folder(folder, access) => {
                let (from, to, access) = (file.from.to_owned(), folder.join(file.path), *access);
                blocking(move || folder::move_file(&from, &to, access)).await
            }
            Self::Objects(objects) => objects.put(file).await,
        }
    }

    /// Whether the folder of a new recording is empty.
    pub async fn is_free(&self, path: &str) -> Result<bool, TargetError> {
        match self {
            Self::Folder(folder, _) => {
                let folder = folder.join(path);
                blocking(move || Ok(folder::is_free(&folder)?)).await
            }
            Self::Objects(objects) => objects.is_free(path).await,
        }
    }

    /// Writes a small file, reads it back and deletes it. In a folder that does not exist yet, looks at the one in which it
    /// would be made.
    pub async fn probe(&self, name: &str) -> Result<(), TargetError> {
        match self {
            Self::Folder(folder, _) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                blocking(move || Ok(folder::probe(&folder, &name)?)).await
            }
            Self::Objects(objects) => objects.probe(name).await,
        }
    }

    /// Reads the bytes of a file in `range`, which must be inside it.
    pub async fn read(&self, path: &str, range: Range<u64>) -> Result<Content, TargetError> {
        match self {
            Self::Folder(folder, _) => read_file(&folder.join(path), range).await,
            Self::Objects(objects) => objects.get(path, range).await,
        }
    }

    /// Removes a file, and the folders that become empty. A missing file is no error.
    pub async fn remove(&self, path: &str) -> Result<(), TargetError> {
        match self {
            Self::Folder(folder, _) => {
                let (folder, path) = (folder.clone(), path.to_owned());
                blocking(move || Ok(folder::remove_file(&folder, &path)?)).await
            }
            Self::Objects(objects) => objects.remove(path).await,
        }
    }
}

/// Reads the bytes of a file on this machine.
pub async fn read_file(path: &Path, range: Range<u64>) -> Result<Content, TargetError> {
    let mut file = fs::File::open(path).await.map_err(missing_or_failed)?;
    file.seek(io::SeekFrom::Start(range.start)).await?;
    let left = range.end.saturating_sub(range.start);
    let content = stream::try_unfold((file, left), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        // On 32 bits, a length that does not fit is longer than one read.
        let mut chunk = vec![0; READ_BYTES.min(usize::try_from(left).unwrap_or(READ_BYTES))];
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            // The file was shortened: an error cuts the response, so that the client notices.
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        chunk.truncate(read);
        Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
    });
    Ok(content.boxed())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TargetError> + Send + 'static,
) -> Result<T, TargetError> {
    spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic).into()))
}

fn missing_or_failed(error: io::Error) -> TargetError {
    match error.kind() {
        io::ErrorKind::NotFound => TargetError::Missing,
        _ => TargetError::File(error),
    }
}

#[cfg(test)]
mod tests;
