//! Seals every stored token anew under the ring's first key, beside daemons that go on working.

use thiserror::Error;

use super::sealed;
use crate::model::InstallationId;
use crate::seal::KeyRing;
use crate::store::{Store, StoreError};

/// Rows read at a time.
const BATCH: u32 = 100;

/// What a rotation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotated {
    pub resealed: u64,
    /// Rows that no key of the ring opens.
    pub unreadable: u64,
}

#[derive(Debug, Error)]
pub enum RotateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "tokens are stored under an old key as fast as they are sealed anew: does every daemon run with the new key first?"
    )]
    NoEnd,
}

/// How often everything is gone through before that is said.
const MAX_PASSES: u32 = 100;

/// Goes through all rows until none is left that another key has sealed, but those that nobody can open.
pub async fn rotate_keys(store: &Store, ring: &KeyRing) -> Result<Rotated, RotateError> {
    let mut rotated = Rotated::default();
    for _ in 0..MAX_PASSES {
        let pass = pass(store, ring).await?;
        rotated.resealed += pass.resealed;
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
    /// Somebody stored other tokens in between.
    has_missed: bool,
}

async fn pass(store: &Store, ring: &KeyRing) -> Result<Pass, StoreError> {
    let mut pass = Pass::default();
    let mut after: Option<InstallationId> = None;
    loop {
        let grants = store.sealed_otherwise(after, &ring.prefix(), BATCH).await?;
        let Some(last) = grants.last() else { return Ok(pass) };
        after = Some(last.installation.id);
        for grant in &grants {
            let Some(tokens) = &grant.tokens else { continue };
            let installation = &grant.installation;
            match sealed::reseal(ring, installation.id, tokens) {
                Ok(tokens) => {
                    let generation = installation.generation;
                    let is_done = store.reseal_tokens(installation.id, generation, &tokens).await?;
                    pass.resealed += u64::from(is_done);
                    pass.has_missed |= !is_done;
                }
                Err(error) => {
                    tracing::error!(installation = %installation.id, %error, "tokens do not open");
                    pass.unreadable += 1;
                }
            }
        }
    }
}
