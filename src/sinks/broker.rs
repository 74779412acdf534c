//! Relays everything to any broker: stored entries and deletions at least once and in order, frames at most once.
//!
//! A broker is one more file beside this one: it implements [`Broker`] and returns [`runner`] from its `build`.

mod deletions;
mod frames;

use std::fmt::Display;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use self::frames::Frames;
use super::message::Message;
use super::relay::{Relay, Relayed};
use super::{Context, Runner};
use crate::hub::{SinkLimits, Wants};
use crate::model::MediaSet;

/// The most bytes of queued frames, for all streams together.
const MAX_FRAME_BYTES: usize = 512 * 1024 * 1024;

/// The connection to a broker, which may be lost and restored.
pub trait Broker: Send + Sync + 'static {
    type Error: Display + Send;

    /// The name in logs, and of the positions in the store: it must never change.
    const NAME: &'static str;

    /// Whether the broker is connected.
    fn is_up(&self) -> bool;

    /// Publishes messages in this order. `Ok` means that the broker has stored them all; after an error they are all
    /// published again, with the same ids.
    fn publish(
        &self,
        messages: Vec<Message>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Publishes a frame to current subscribers, once. False if the broker does not accept it.
    fn publish_frame(&self, message: Message) -> impl Future<Output = bool> + Send;

    /// Waits until published frames have left this process.
    fn flush(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// The frames that a broker gets.
#[derive(Debug, Clone, Copy)]
pub struct FrameSettings {
    pub media: MediaSet,
    /// The most bytes of queued frames of one stream while the broker is away or slow.
    pub buffer_bytes: usize,
}

/// Returns the task of a broker. It publishes the frames of streams that start after this call.
pub fn runner<B: Broker>(
    broker: Arc<B>,
    settings: FrameSettings,
    context: &Context,
) -> Box<dyn Runner> {
    let wants = Wants { media: settings.media, ..Wants::default() };
    let streams = context.hub.sink(
        B::NAME,
        move |_| (!wants.media.is_empty()).then(|| wants.clone()),
        SinkLimits { each_bytes: settings.buffer_bytes, all_bytes: MAX_FRAME_BYTES },
    );
    let frames = Frames::new(Arc::clone(&broker), context.store.clone(), streams);
    Box::new(Publisher { broker, context: context.clone(), frames })
}

struct Publisher<B> {
    broker: Arc<B>,
    context: Context,
    frames: Frames<B>,
}

impl<B: Broker> Runner for Publisher<B> {
    fn name(&self) -> &'static str {
        B::NAME
    }

    fn run(&mut self, stop: CancellationToken) -> BoxFuture<'_, ()> {
        let Self { broker, context, frames } = self;
        let relay = Relay::new(context, B::NAME);
        let deliver = |entries: Vec<Relayed>| {
            let messages = entries.iter().map(Message::of_entry).collect();
            broker.publish(messages)
        };
        let deletions = deletions::publish(&**broker, context, stop.clone());
        Box::pin(async move {
            tokio::join!(
                relay.run(stop.clone(), async || Ok(true), deliver),
                deletions,
                frames.run(stop)
            );
        })
    }
}
