//! The sockets that exist, as a driver would know them, and what must hold of every output.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::EntryBody;
use crate::rtms::stream::{LinkId, Output};

/// Which sockets exist, as a driver would know it; and what must hold of every output, whoever runs the stream.
#[derive(Default)]
pub(super) struct Sockets {
    sockets: BTreeMap<LinkId, Socket>,
    /// Links that the entries call up.
    up: BTreeSet<String>,
    is_finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Socket {
    Dialing,
    Open,
}

impl Sockets {
    pub(super) fn get(&self, id: LinkId) -> Option<Socket> {
        self.sockets.get(&id).copied()
    }

    pub(super) fn all(&self) -> Vec<(LinkId, Socket)> {
        self.sockets.iter().map(|(id, socket)| (*id, *socket)).collect()
    }

    pub(super) fn open(&mut self, id: LinkId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            *socket = Socket::Open;
        }
    }

    pub(super) fn lose(&mut self, id: LinkId) {
        self.sockets.remove(&id);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    pub(super) fn check(&mut self, output: &Output) {
        assert!(!self.is_finished, "nothing comes after Finished: {output:?}");
        match output {
            Output::Dial(id, _) => {
                let old = self.sockets.insert(*id, Socket::Dialing);
                assert_eq!(old, None, "two sockets for {id:?}");
            }
            Output::Send(id, message) => {
                assert_eq!(self.get(*id), Some(Socket::Open), "{message:?} to {id:?}");
            }
            Output::HangUp(id, _) => {
                assert!(self.sockets.remove(id).is_some(), "nothing to hang up for {id:?}");
            }
            Output::Frame(..) | Output::Ledger(_) => {}
            Output::Note { body, .. } => self.check_entry(body),
            Output::Finished(_) | Output::LeftToOwner => self.check_end(),
        }
    }

    fn check_entry(&mut self, body: &EntryBody) {
        match body {
            EntryBody::LinkUp { link } => {
                assert!(self.up.insert(link.to_string()), "{link} came up twice");
            }
            EntryBody::LinkDown { link, .. } => {
                self.up.remove(link.as_ref());
            }
            EntryBody::Moved {} => self.up.clear(),
            EntryBody::Ended { .. } => panic!("whoever stores the stream notes its end: {body:?}"),
            _ => {}
        }
    }

    fn check_end(&mut self) {
        assert!(self.sockets.is_empty(), "left open: {:?}", self.sockets);
        self.is_finished = true;
    }
}
