//! Which media sockets may be open at the same time (rtms-protocol.md section 3.3).

use super::refusal::Refusal;
use crate::model::Medium;

/// Fails with refusal 15 or 16 if `media` already have a socket. `open` are the media of each open socket, and whether it
/// was opened for all media.
pub(crate) fn check_duplicates<'a>(
    media: &[Medium],
    is_all: bool,
    open: impl Iterator<Item = (&'a [Medium], bool)> + Clone,
) -> Result<(), Refusal> {
    if !is_all && open.clone().any(|(_, is_all)| is_all) {
        return Err(Refusal::ALL_EXISTS);
    }
    // A second "all" gets 16 as well: it overlaps with the first.
    let is_taken = open.flat_map(|(open, _)| open).any(|medium| media.contains(medium));
    if is_taken { Err(Refusal::DUPLICATE_MEDIA) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_has_one_socket_and_all_media_have_no_other() {
        const AUDIO: &[Medium] = &[Medium::Audio];
        let all = (&Medium::ALL[..], true);
        let check = |media, is_all, open: &[(&'static [Medium], bool)]| {
            check_duplicates(media, is_all, open.iter().copied()).map_err(|refusal| refusal.code)
        };
        assert_eq!(check(AUDIO, false, &[]), Ok(()));
        assert_eq!(check(AUDIO, false, &[(&[Medium::Video], false)]), Ok(()));
        assert_eq!(check(AUDIO, false, &[(AUDIO, false)]), Err(16));
        assert_eq!(check(AUDIO, false, &[(&[], true)]), Err(15));
        assert_eq!(check_duplicates(AUDIO, false, [all].into_iter()), Err(Refusal::ALL_EXISTS));
        assert_eq!(check(&Medium::ALL, true, &[(AUDIO, false)]), Err(16));
    }
}
