// SPDX-License-Identifier: MIT
//! The payload: a function of seed, stream and offset.

const LENGTH: usize = 65521;
/// The table is kept this many times in a row, so that a comparison can begin anywhere in it.
const COPIES: usize = 3;

pub struct Payload {
    table: Vec<u8>,
    seed: u64,
}

impl Payload {
    pub fn new(seed: u64) -> Self {
        let mut x = 0x9E37_79B9_u32;
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            (x >> 24) as u8
        };
        let once: Vec<u8> = (0..LENGTH).map(|_| next()).collect();
        Self { table: once.repeat(COPIES), seed }
    }

    /// How many of the bytes are right, from the first on.
    pub fn check(&self, bytes: &[u8], stream: u64, offset: u64) -> usize {
        let start = offset + 7919 * stream + 104_729 * self.seed;
        let mut position = (start % LENGTH as u64) as usize;
        let mut good = 0;
        for part in bytes.chunks(LENGTH * (COPIES - 1)) {
            let expected = &self.table[position..position + part.len()];
            if part != expected {
                return good + part.iter().zip(expected).take_while(|(a, b)| a == b).count();
            }
            good += part.len();
            position = (position + part.len()) % LENGTH;
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bytes() {
        let first = [0xee, 0x8f, 0x5e, 0x47, 0x9e, 0x7e, 0x22, 0x09];
        let later = [0xe9, 0x3e, 0xe2, 0x63, 0x22, 0x17, 0xe7, 0x19];
        assert_eq!(Payload::new(1).check(&first, 0, 0), 8);
        assert_eq!(Payload::new(1).check(&first, 1, 0), 0);
        assert_eq!(Payload::new(7).check(&later, 999, 1 << 30), 8);
    }

    #[test]
    fn long_pieces_wrap_round() {
        let payload = Payload::new(0);
        let mut bytes = payload.table.repeat(2);
        assert_eq!(payload.check(&bytes, 0, 0), bytes.len());
        let wrong = bytes.len() - 3;
        bytes[wrong] ^= 1;
        assert_eq!(payload.check(&bytes, 0, 0), wrong);
    }
}
