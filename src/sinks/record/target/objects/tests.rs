//! Recordings in object stores.

use async_trait::async_trait;
use object_store::{PutPayload, PutResult, Result, UploadPart};
use tempfile::tempdir;
use tokio::sync::mpsc;

use super::*;

/// A store that accepts no part, and signals when a part is sent and when the upload is aborted.
#[derive(Debug)]
struct Stuck(mpsc::UnboundedSender<&'static str>);

#[async_trait]
impl MultipartUpload for Stuck {
    fn put_part(&mut self, _data: PutPayload) -> UploadPart {
        self.0.send("part").unwrap();
        Box::pin(std::future::pending())
    }

    async fn complete(&mut self) -> Result<PutResult> {
        unreachable!("no part is ever stored")
    }

    async fn abort(&mut self) -> Result<()> {
        self.0.send("abort").unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn the_parts_of_a_cancelled_upload_are_aborted() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "sound").unwrap();
    let mut file = File::open(folder.path().join("a")).await.unwrap();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut upload = Upload(Some(Box::new(Stuck(sender))));
    let sending = tokio::spawn(async move { upload.send(&mut file).await });
    assert_eq!(receiver.recv().await, Some("part"));
    sending.abort();
    assert_eq!(receiver.recv().await, Some("abort"));
}
