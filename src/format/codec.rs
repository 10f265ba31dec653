//! Little-endian numbers and length-prefixed bytes, in and out.

/// Appends a 32-bit number.
pub fn put_u32(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_le_bytes());
}

/// Appends a 64-bit number.
pub fn put_u64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_le_bytes());
}

/// Appends a number in LEB128: seven bits a byte, low bits first, 1 to 10 bytes.
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(low_byte(n) | 0x80);
        n >>= 7;
    }
    out.push(low_byte(n));
}

/// Appends a varint length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, to_u64(bytes.len()));
    out.extend_from_slice(bytes);
}

fn low_byte(n: u64) -> u8 {
    n.to_le_bytes()[0]
}

/// A size in memory as the 64-bit number that goes to disk.
#[must_use]
pub const fn to_u64(n: usize) -> u64 {
    n as u64
}

/// A 64-bit number from disk as a size in memory; `None` where it cannot be one.
#[must_use]
pub fn to_usize(n: u64) -> Option<usize> {
    usize::try_from(n).ok()
}

/// A number of 32 bits as a size in memory.
#[inline]
#[must_use]
pub fn wide(n: u32) -> usize {
    usize::try_from(n).expect("a size in memory has 32 bits or more")
}

/// `bytes` up to the last one that is not zero. A file that was extended ahead ends with many zeros,
/// so they are compared a page at a time.
#[must_use]
pub fn without_zeros_at_end(bytes: &[u8]) -> &[u8] {
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut rest = bytes;
    while let Some((front, last)) = rest.split_last_chunk()
        && *last == ZEROS
    {
        rest = front;
    }
    let zeros = rest.iter().rev().take_while(|&&byte| byte == 0).count();
    rest.split_at(rest.len() - zeros).0
}

/// Reads numbers and bytes off the front of a slice; every read is checked.
#[derive(Debug, Clone, Copy)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Decoder { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// True when all has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(head)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next 32-bit number.
    pub fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*head))
    }

    /// The next 64-bit number.
    pub fn u64(&mut self) -> Option<u64> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*head))
    }

    /// The next varint; `None` also when it does not fit 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let mut n: u64 = 0;
        for (i, &byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                return None;
            }
            n |= bits << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(i + 1..)?;
                return Some(n);
            }
        }
        None
    }

    /// The next varint as a size in memory.
    #[inline]
    pub fn varint_usize(&mut self) -> Option<usize> {
        to_usize(self.varint()?)
    }

    /// The next length-prefixed bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.varint_usize()?;
        self.take(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_round_trip(a: u64, b: u32, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_varint(&mut out, a);
            put_u64(&mut out, a);
            put_u32(&mut out, b);
            put_bytes(&mut out, &bytes);
            let mut d = Decoder::new(&out);
            prop_assert_eq!(d.varint(), Some(a));
            prop_assert_eq!(d.u64(), Some(a));
            prop_assert_eq!(d.u32(), Some(b));
            prop_assert_eq!(d.bytes(), Some(&bytes[..]));
            prop_assert!(d.is_empty());
        }

        #[test]
        fn zeros_at_the_end_are_left_out(mut bytes: Vec<u8>, zeros in 0_usize..20_000, last in 1_u8..) {
            bytes.push(last);
            let written = bytes.clone();
            bytes.resize(written.len() + zeros, 0);
            prop_assert_eq!(without_zeros_at_end(&bytes), &written[..]);
            prop_assert!(without_zeros_at_end(&bytes[written.len()..]).is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let mut d = Decoder::new(&bytes);
            while d.varint().is_some() {}
            let mut d = Decoder::new(&bytes);
            while d.bytes().is_some_and(|b| !b.is_empty()) {}
        }
    }

    #[test]
    fn varints_beyond_64_bits_are_refused() {
        assert_eq!(Decoder::new(&[0xff; 10]).varint(), None);
        assert_eq!(Decoder::new(&[0xff; 11]).varint(), None);
        let mut widest = [0xff; 10];
        widest[9] = 1;
        assert_eq!(Decoder::new(&widest).varint(), Some(u64::MAX));
        widest[9] = 2;
        assert_eq!(Decoder::new(&widest).varint(), None);
    }
}
