//! Decodes the payloads of frames. Those of sound share blocks of memory.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

use crate::model::{Medium, Unreadable};
use crate::rtms::message::MediaFrame;

thread_local! {
    /// The block that sound is decoded into for consumers that keep up. All streams of a thread share it, so that it stays in
    /// the CPU's cache.
    static SHARED_BLOCK: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Decodes the payloads of one stream.
#[derive(Default)]
pub(super) struct Payloads {
    /// The stream's own block, for consumers that may be slow: they would also keep the payloads of other streams in memory.
    block: BytesMut,
}

impl Payloads {
    /// Decodes a frame's payload. `is_shared`: sound may share a block with other streams.
    pub(super) fn decode(
        &mut self,
        frame: &MediaFrame,
        is_shared: bool,
    ) -> Result<Bytes, Unreadable> {
        match frame.medium {
            Medium::Audio if is_shared => {
                SHARED_BLOCK.with_borrow_mut(|block| frame.payload_into_block(block))
            }
            Medium::Audio => frame.payload_into_block(&mut self.block),
            // In one block, a consumer of audio alone would keep small pictures in memory, too.
            _ => frame.payload(),
        }
    }
}
