//! Encodes a client's WebSocket frames (RFC 6455, section 5.2).

use super::decoder::{FINAL, MASKED};

/// What a frame of a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    Text = 1,
    Close = 8,
    Pong = 10,
}

/// Appends a frame with a whole message, masked with `mask`, which the peer must not be able to predict.
pub fn encode_frame(opcode: Opcode, payload: &[u8], mask: [u8; 4], frames: &mut Vec<u8>) {
    frames.push(FINAL | opcode as u8);
    match payload.len() {
        short @ 0..126 => frames.push(MASKED | short as u8),
        medium @ 126..=0xffff => {
            frames.push(MASKED | 126);
            frames.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frames.push(MASKED | 127);
            frames.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frames.extend_from_slice(&mask);
    frames.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}
