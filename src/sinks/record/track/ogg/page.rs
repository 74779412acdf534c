//! Ogg pages (RFC 3533; pure). Packets never span pages here.

const CAPTURE: &[u8; 4] = b"OggS";
const HEADER_BYTES: usize = 27;
const MAX_SEGMENTS: usize = 255;

pub(super) const BEGINS: u8 = 2;
pub(super) const ENDS: u8 = 4;

/// The longest page.
pub(super) const MAX_PAGE_BYTES: usize = HEADER_BYTES + MAX_SEGMENTS + MAX_SEGMENTS * 255;

/// Packets without a page yet.
#[derive(Debug, Default)]
pub(super) struct Packets {
    segments: Vec<u8>,
    body: Vec<u8>,
}

impl Packets {
    /// Adds a packet; false if the page is full.
    pub(super) fn push(&mut self, packet: &[u8]) -> bool {
        // A length that is a multiple of 255 ends with an empty segment (RFC 3533, section 6).
        let segments = packet.len() / 255 + 1;
        if self.segments.len() + segments > MAX_SEGMENTS {
            return false;
        }
        self.segments.extend(std::iter::repeat_n(255, segments - 1));
        self.segments.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.body.clear();
    }

    /// The page of all packets. `granule`: the position after its last sample.
    pub(super) fn page(&self, flags: u8, granule: u64, serial: u32, number: u32) -> Vec<u8> {
        let mut page = Vec::with_capacity(HEADER_BYTES + self.segments.len() + self.body.len());
        page.extend(CAPTURE);
        page.extend([0, flags]);
        page.extend(granule.to_le_bytes());
        page.extend(serial.to_le_bytes());
        page.extend(number.to_le_bytes());
        // The checksum, which `sign` fills in.
        page.extend([0; 4]);
        page.push(self.segments.len() as u8);
        page.extend_from_slice(&self.segments);
        page.extend_from_slice(&self.body);
        write_checksum(&mut page);
        page
    }
}

/// The header values of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageInfo {
    pub bytes: usize,
    pub body_at: usize,
    pub granule: u64,
    pub serial: u32,
    pub number: u32,
}

/// Parses the page at the start of `bytes`; `None` if it is incomplete.
pub(super) fn parse_page(bytes: &[u8]) -> Option<PageInfo> {
    let header = bytes.get(..HEADER_BYTES)?;
    if !header.starts_with(CAPTURE) || header[4] != 0 {
        return None;
    }
    let body_at = HEADER_BYTES + usize::from(header[26]);
    let segments = bytes.get(HEADER_BYTES..body_at)?;
    let length = body_at + segments.iter().map(|length| usize::from(*length)).sum::<usize>();
    let page = bytes.get(..length)?;
    let mut signed = page.to_vec();
    write_checksum(&mut signed);
    let number =
        |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    let granule = u64::from(number(6)) | u64::from(number(10)) << 32;
    let info = PageInfo { bytes: length, body_at, granule, serial: number(14), number: number(18) };
    (signed == page).then_some(info)
}

/// Sets whether a whole page is the last.
pub(super) fn set_end(page: &mut [u8], ends: bool) {
    page[5] = if ends { page[5] | ENDS } else { page[5] & !ENDS };
    write_checksum(page);
}

/// Sets the position of a whole page.
pub(super) fn set_place(page: &mut [u8], granule: u64, number: u32) {
    page[6..14].copy_from_slice(&granule.to_le_bytes());
    page[18..22].copy_from_slice(&number.to_le_bytes());
    write_checksum(page);
}

fn write_checksum(page: &mut [u8]) {
    // The checksum is computed with its own field zero (RFC 3533, section 6).
    page[22..26].fill(0);
    let sum = page_checksum(page);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
}

const TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            // The generator polynomial of RFC 3533, not reflected.
            sum = if sum & 0x8000_0000 == 0 { sum << 1 } else { (sum << 1) ^ 0x04c1_1db7 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
}

fn page_checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) ^ TABLE[(sum >> 24) as usize ^ usize::from(*byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_back_unless_it_is_truncated_or_changed() {
        let mut packets = Packets::default();
        for length in [0, 1, 254, 255, 256, 700] {
            assert!(packets.push(&vec![7; length]));
        }
        let page = packets.page(0, 0x1_0000_0002, 5, 9);
        let info = parse_page(&page).unwrap();
        assert_eq!((info.bytes, info.granule), (page.len(), 0x1_0000_0002));
        assert_eq!((info.serial, info.number), (5, 9));
        for at in 0..page.len() {
            assert_eq!(parse_page(&page[..at]), None);
            let mut other = page.clone();
            other[at] ^= 1;
            assert_eq!(parse_page(&other), None, "byte {at}");
        }
    }

    #[test]
    fn a_page_has_room_for_255_segments() {
        let mut packets = Packets::default();
        assert!((0..255).all(|_| packets.push(&[0; 254])));
        assert!(!packets.push(&[]));
        assert!(packets.page(0, 0, 0, 0).len() <= MAX_PAGE_BYTES);
    }
}
