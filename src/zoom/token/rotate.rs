//! Re-encrypts every stored token with the ring's first key, while daemons keep running.

use thiserror::Error;

use super::sealed;
use crate::model::InstallationId;
use crate::seal::KeyRing;
use crate::store::{Store, StoreError};

/// The rows read at a time.
const BATCH: u32 = 100;

/// The result of a rotation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotated {
    pub resealed: u64,
    /// The rows that no key of the ring opens.
    pub unreadable: u64,
}

#[derive(Debug, Error)]
pub enum RotateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "daemons keep storing tokens under an old key: start every daemon with the new key first, then try again"
    )]
    NoEnd,
}

/// The most passes over all rows before that error.
const MAX_PASSES: u32 = 100;

/// Repeats passes over all rows until every row that can be opened is sealed with the first key.
pub async fn rotate_keys(store: &Store, ring: &KeyRing) -> Result<Rotated, RotateError> {
    let mut rotated = Rotated::default();
    for _ in 0..MAX_PASSES {
        let pass = rotation_pass(store, ring).await?;
        rotated.resealed += pass.resealed;
        // Not a sum: every pass meets these rows again.
        rotated.unreadable = pass.unreadable;
        if !pass.has_missed {
            return Ok(rotated);
        }
    }
    Err(RotateError::NoEnd)
}

#[derive(Default)]
struct Pass {
    resealed: u64,
    unreadable: u64,
    /// Other tokens were stored meanwhile.
    has_missed: bool,
}

async fn rotation_pass(store: &Store, ring: &KeyRing) -> Result<Pass, StoreError> {
    let mut pass = Pass::default();
    let mut after: Option<InstallationId> = None;
    loop {
        let grants = store.sealed_otherwise(after, &ring.prefix(), BATCH).await?;
        let Some(last) = grants.last() else { return Ok(pass) };
        after = Some(last.installation.id);
        for grant in &grants {
            let Some(tokens) = &grant.tokens else { continue };
            let installation = &grant.installation;
            match sealed::reseal_tokens(ring, installation.id, tokens) {
                Ok(tokens) => {
                    let generation = installation.generation;
                    let is_done = store.reseal_tokens(installation.id, generation, &tokens).await?;
                    pass.resealed += u64::from(is_done);
                    // The daemon that replaced them may have used an old key.
                    pass.has_missed |= !is_done;
                }
                Err(error) => {
                    tracing::error!(installation = %installation.id, %error, "cannot decrypt tokens; they stay as they are");
                    pass.unreadable += 1;
                }
            }
        }
    }
}
