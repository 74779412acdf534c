//! The arguments of `rtmsd simulate` for what Zoom allows and how it answers.

use clap::{Args, ValueEnum};

use crate::model::MediaSet;
use crate::simulator::{Duplicates, Quirk, Settings};

#[derive(Debug, Clone, Args)]
pub(super) struct BehaviourArgs {
    /// On a second connection for a connected link, refuse the newer one or kick the older one out
    #[arg(long, value_enum, default_value_t = DuplicatesArg::Refuse)]
    duplicates: DuplicatesArg,
    /// A deviation of Zoom's messages that clients must tolerate; repeatable
    #[arg(long = "quirk", value_name = "NAME", value_parser = Quirk::parse)]
    quirks: Vec<Quirk>,
    /// The media for which the app has scopes; others are refused
    #[arg(long, value_name = "MEDIA", value_parser = media, default_value_t = MediaSet::ALL)]
    scopes: MediaSet,
    /// Offer a socket for each medium, and none for all media
    #[arg(long)]
    split_only: bool,
    /// Accept still images of a share at up to 5 frames a second, and H.264 at any rate
    #[arg(long)]
    lenient_params: bool,
    /// Refuse REST calls of OAuth users for anyone but the host, as before July 2026
    #[arg(long)]
    hosts_only: bool,
    /// The HTTP status of a successful start, stop, pause or resume: 200, 202 or 204
    #[arg(long, value_name = "STATUS", default_value_t = 204, value_parser = rest_status)]
    rest_success: u16,
    /// The code of Close frames on signaling and media sockets
    #[arg(long, value_name = "CODE", default_value_t = 1000)]
    close_code: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DuplicatesArg {
    Refuse,
    Kick,
}

impl BehaviourArgs {
    pub(super) fn apply(self, settings: &mut Settings) {
        settings.duplicates = match self.duplicates {
            DuplicatesArg::Refuse => Duplicates::Refuse,
            DuplicatesArg::Kick => Duplicates::Kick,
        };
        settings.quirks = self.quirks;
        settings.scopes = self.scopes.iter().collect();
        settings.offer_all = !self.split_only;
        settings.lenient_params = self.lenient_params;
        settings.hosts_only = self.hosts_only;
        settings.rest_success = self.rest_success;
        settings.close_code = self.close_code;
    }
}

fn media(text: &str) -> Result<MediaSet, String> {
    MediaSet::parse(text).ok_or_else(|| format!("must be some of {}", MediaSet::ALL))
}

fn rest_status(text: &str) -> Result<u16, &'static str> {
    match text {
        "200" => Ok(200),
        "202" => Ok(202),
        "204" => Ok(204),
        _ => Err("must be 200, 202 or 204"),
    }
}
