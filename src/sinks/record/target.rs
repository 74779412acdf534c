//! Where recordings go: a folder, or an object store.

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
use url::Url;

use self::objects::Objects;
use crate::net::Network;

/// How much of a file is read at a time.
const READ_BYTES: usize = 64 * 1024;

/// `RECORDINGS_URL`, checked, with what the environment says about its store.
#[derive(Debug, Clone)]
pub enum Place {
    Folder(PathBuf),
    /// `s3://`, `gs://` or `az://`, and the settings of that store by name: may hold secrets.
    Url {
        url: Url,
        options: Vec<(&'static str, String)>,
    },
    /// A store that the caller has.
    Objects(Arc<dyn ObjectStore>),
}

/// Why a place cannot be used. Holds no address and no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PlaceError {
    #[error("a folder, file:///folder, s3://bucket/path, gs://bucket/path or az://container/path")]
    Form,
    #[error(
        "complete: its store's own variables are missing or wrong (see the README, Recordings)"
    )]
    Store,
}

/// Why a file could not be put, read or removed.
#[derive(Debug, Error)]
pub enum TargetError {
    #[error("there is no such file")]
    Missing,
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("{0}")]
    Objects(object_store::Error),
}

/// A file's bytes.
pub type Content = BoxStream<'static, Result<Bytes, TargetError>>;

/// Where recordings go. Paths are relative, with `/`.
#[derive(Debug, Clone)]
pub enum Target {
    Folder(PathBuf),
    Objects(Objects),
}

impl Place {
    /// `lookup` finds the environment variables of the store's kind.
    pub fn parse(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, PlaceError> {
        if !text.contains("://") {
            return Ok(Self::Folder(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|_| PlaceError::Form)?;
        if url.scheme() == "file" {
            return url.to_file_path().map(Self::Folder).map_err(|()| PlaceError::Form);
        }
        let names = objects::variables(&url).ok_or(PlaceError::Form)?;
        let value = |name: &&'static str| Some((*name, lookup(name)?));
        let place = Self::Url { url, options: names.iter().filter_map(value).collect() };
        // Built once to find mistakes now, and again where TLS is set up.
        let tls = crate::tls::client_config(None).map_err(|_| PlaceError::Store)?;
        Target::open(&place, &Network::direct(tls)).map(|_| place)
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
    /// Connects to nothing yet.
    pub fn open(place: &Place, network: &Network) -> Result<Self, PlaceError> {
        match place {
            Place::Folder(folder) => Ok(Self::Folder(folder.clone())),
            Place::Objects(store) => Ok(Self::Objects(Objects::new(Arc::clone(store)))),
            Place::Url { url, options } => {
                let objects =
                    Objects::open(url, options, network).map_err(|_| PlaceError::Store)?;
                Ok(Self::Objects(objects))
            }
        }
    }

    /// Whether every daemon reaches the same files. A folder may be each machine's own.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Objects(_))
    }

    /// Moves a file here, whole or not at all. A file that was moved before is as good.
    pub async fn take(
        &self,
        file: &Path,
        path: &str,
        content_type: &str,
    ) -> Result<(), TargetError> {
        match self {
            Self::Folder(folder) => move_file(file, &folder.join(path)).await,
            Self::Objects(objects) => objects.put(file, path, content_type).await,
        }
    }

    /// The bytes of a file in `range`, which lies inside it.
    pub async fn read(&self, path: &str, range: Range<u64>) -> Result<Content, TargetError> {
        match self {
            Self::Folder(folder) => read_file(&folder.join(path), range).await,
            Self::Objects(objects) => objects.get(path, range).await,
        }
    }

    /// Removes a file, and the folders that are empty without it. One that is not there is removed.
    pub async fn remove(&self, path: &str) -> Result<(), TargetError> {
        match self {
            Self::Folder(folder) => remove_file(folder, path).await,
            Self::Objects(objects) => objects.remove(path).await,
        }
    }
}

/// The bytes of a file on this machine.
pub async fn read_file(path: &Path, range: Range<u64>) -> Result<Content, TargetError> {
    let mut file = fs::File::open(path).await.map_err(missing)?;
    file.seek(io::SeekFrom::Start(range.start)).await?;
    let left = range.end.saturating_sub(range.start);
    let content = stream::try_unfold((file, left), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut chunk = vec![0; READ_BYTES.min(usize::try_from(left).unwrap_or(READ_BYTES))];
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        chunk.truncate(read);
        Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
    });
    Ok(content.boxed())
}

async fn move_file(from: &Path, to: &Path) -> Result<(), TargetError> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).await?;
    }
    match fs::rename(from, to).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_file(from, to).await,
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::try_exists(to).await? => {
            Ok(())
        }
        Err(error) => Err(missing(error)),
    }
}

/// Under another name until it is whole.
async fn copy_file(from: &Path, to: &Path) -> Result<(), TargetError> {
    let part = part_of(to);
    fs::copy(from, &part).await.map_err(missing)?;
    fs::File::open(&part).await?.sync_all().await?;
    fs::rename(&part, to).await?;
    Ok(fs::remove_file(from).await?)
}

/// Where a file is that is not whole yet.
fn part_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    file.with_file_name(name)
}

async fn remove_file(root: &Path, path: &str) -> Result<(), TargetError> {
    let file = root.join(path);
    // A copy that was cancelled leaves its part.
    for path in [part_of(&file), file] {
        match fs::remove_file(path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    // Up to the first that holds something else.
    let mut folder = Path::new(path).parent();
    while let Some(inner) = folder.filter(|inner| !inner.as_os_str().is_empty()) {
        if fs::remove_dir(root.join(inner)).await.is_err() {
            break;
        }
        folder = inner.parent();
    }
    Ok(())
}

fn missing(error: io::Error) -> TargetError {
    match error.kind() {
        io::ErrorKind::NotFound => TargetError::Missing,
        _ => TargetError::File(error),
    }
}

#[cfg(test)]
mod tests;
