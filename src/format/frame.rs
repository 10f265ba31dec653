//! Frames: how records stand in the files that are appended to (log, manifest).
//!
//! ```text
//! offset  size  field
//!      0     4  header checksum: crc_parts(database, file, offset of the frame, bytes 4..32)
//!      4     4  body checksum:   crc(body)
//!      8     8  body length in bytes
//!     16     8  sequence: rises from frame to frame of one file
//!     24     8  durable: position below which everything was durable when this was written
//!     32     n  body
//! ```
//! All little-endian. The header's checksum binds the frame to its place and,
//! through the body's checksum, the body too. That a header can be verified
//! without its body keeps the search for later frames linear ([`FrameReader::claims_after`]).
//!
//! Pure: works on slices, does no I/O.

use super::checksum::{DatabaseId, crc, crc_parts};
use super::codec::{Decoder, to_u64, to_usize, without_zeros_at_end};
use super::ids::FileId;

/// Size of a frame's header in bytes.
pub const FRAME_HEADER_SIZE: usize = 4 + 4 + 8 + 8 + 8;
const _: () = assert!(FRAME_HEADER_SIZE == 32);

/// The longest body: 1 TiB. No body is empty.
pub const BODY_BYTES_MAX: u64 = 1 << 40;

/// Where a frame stands: what its checksum is bound to.
#[derive(Debug, Clone, Copy)]
pub struct FramePlace {
    /// The database.
    pub database: DatabaseId,
    /// The file.
    pub file: FileId,
    /// Offset of the frame in the file.
    pub offset: u64,
}

/// What a frame's header says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Checksum of the body.
    pub body_crc: u32,
    /// Length of the body in bytes.
    pub body_bytes: u64,
    /// Rises from frame to frame.
    pub sequence: u64,
    /// Everything below this position was durable when the frame was written.
    pub durable: u64,
}

impl FrameHeader {
    /// The header's bytes at `place`.
    #[must_use]
    pub fn encode(&self, place: FramePlace) -> [u8; FRAME_HEADER_SIZE] {
        let mut out = [0; FRAME_HEADER_SIZE];
        out[4..8].copy_from_slice(&self.body_crc.to_le_bytes());
        out[8..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[24..32].copy_from_slice(&self.durable.to_le_bytes());
        let crc = crc_parts(place.database, place.file, place.offset, &[&out[4..]]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header at the front of `bytes`; `None` unless it is intact
    /// and was written at `place`.
    #[must_use]
    pub fn decode(bytes: &[u8], place: FramePlace) -> Option<Self> {
        let (header_crc, covered, header) = Self::fields(bytes)?;
        let computed = crc_parts(place.database, place.file, place.offset, &[covered]);
        (computed == header_crc).then_some(header)
    }

    /// The header at the front of `bytes` as it stands there, unverified, with
    /// its checksum before it and the bytes that the checksum covers.
    #[must_use]
    pub fn fields(bytes: &[u8]) -> Option<(u32, &[u8], Self)> {
        let (head, _) = bytes.split_first_chunk::<FRAME_HEADER_SIZE>()?;
        let mut d = Decoder::new(head);
        let header_crc = d.u32()?;
        let covered = d.rest();
        let header = FrameHeader {
            body_crc: d.u32()?,
            body_bytes: d.u64()?,
            sequence: d.u64()?,
            durable: d.u64()?,
        };
        Some((header_crc, covered, header))
    }
}

/// Appends a whole frame to `out`. `body_crc` is [`crc`] of `body`.
pub fn put_frame(
    out: &mut Vec<u8>,
    place: FramePlace,
    sequence: u64,
    durable: u64,
    body: &[u8],
    body_crc: u32,
) {
    debug_assert!(!body.is_empty(), "a frame of nothing would look like zeros");
    let header = FrameHeader { body_crc, body_bytes: to_u64(body.len()), sequence, durable };
    out.extend_from_slice(&header.encode(place));
    out.extend_from_slice(body);
}

/// Whether a body may have so many bytes.
fn is_body_size(body_bytes: u64) -> bool {
    (1..=BODY_BYTES_MAX).contains(&body_bytes)
}

/// One intact frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its sequence.
    pub sequence: u64,
    /// Its durable claim.
    pub durable: u64,
    /// Its body, verified.
    pub body: &'a [u8],
}

/// What stands where a frame may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// An intact frame.
    Frame(Frame<'a>),
    /// The header of one that has so many bytes in all, which is more than there are.
    Part(u64),
    /// No intact frame.
    Nothing,
}

/// What `bytes` begin with, which stand at `place`, behind a frame of the sequence `last_sequence`.
#[must_use]
pub fn frame_in(bytes: &[u8], place: FramePlace, last_sequence: Option<u64>) -> Found<'_> {
    let Some(header) = FrameHeader::decode(bytes, place) else { return Found::Nothing };
    let FrameHeader { body_crc, body_bytes, sequence, durable } = header;
    if !is_body_size(body_bytes) {
        return Found::Nothing;
    }
    let size = to_usize(body_bytes).and_then(|size| FRAME_HEADER_SIZE.checked_add(size));
    let Some(body) = size.and_then(|end| bytes.get(FRAME_HEADER_SIZE..end)) else {
        return Found::Part(to_u64(FRAME_HEADER_SIZE) + body_bytes);
    };
    if last_sequence.is_some_and(|last| last >= sequence) || crc(body) != body_crc {
        return Found::Nothing;
    }
    Found::Frame(Frame { offset: place.offset, sequence, durable, body })
}

/// The largest durable claim of any frame header that stands intact in `bytes`, wherever in them; the first of them
/// stands at `place`.
///
/// Linear: headers are verified without their bodies.
#[must_use]
pub fn claims_in(bytes: &[u8], place: FramePlace) -> Option<u64> {
    let last = bytes.len().checked_sub(FRAME_HEADER_SIZE)?;
    let claims = (0..=last).filter_map(|at| {
        let offset = place.offset + to_u64(at);
        claim_at(bytes.get(at..)?, FramePlace { offset, ..place })
    });
    claims.max()
}

/// The claim of the header with which `bytes` begin, if that is intact.
fn claim_at(bytes: &[u8], place: FramePlace) -> Option<u64> {
    let mut d = Decoder::new(bytes);
    let (_, _, body_bytes) = (d.u32()?, d.u32()?, d.u64()?);
    // Most offsets end here, so that zeros and text cost little: no frame
    // is empty, and none is larger than this. That the body would reach
    // past the end is no ground to dismiss it: the file may have been cut.
    if !is_body_size(body_bytes) {
        return None;
    }
    FrameHeader::decode(bytes, place).map(|header| header.durable)
}

/// Reads the frames of one file, from its bytes, in order, up to the first that is not intact.
#[derive(Debug)]
pub struct FrameReader<'a> {
    bytes: &'a [u8],
    database: DatabaseId,
    file: FileId,
    at: usize,
    last_sequence: Option<u64>,
}

impl<'a> FrameReader<'a> {
    /// Reads `bytes`, the whole file, from `start` on.
    #[must_use]
    pub fn new(bytes: &'a [u8], start: usize, database: DatabaseId, file: FileId) -> Self {
        FrameReader { bytes, database, file, at: start, last_sequence: None }
    }

    /// Where the next frame starts: after the last call to `next` that gave
    /// nothing, where the intact part of the file ends.
    #[must_use]
    pub fn offset(&self) -> u64 {
        to_u64(self.at)
    }

    /// True when nothing but zeros follows: what a file that was extended
    /// ahead and never written further looks like.
    #[must_use]
    pub fn only_zeros_follow(&self) -> bool {
        self.bytes.get(self.at..).is_none_or(|rest| without_zeros_at_end(rest).is_empty())
    }

    fn place(&self, at: usize) -> FramePlace {
        FramePlace { database: self.database, file: self.file, offset: to_u64(at) }
    }

    /// The next frame, and the end of its body, without moving.
    fn peek(&self) -> Option<(Frame<'a>, usize)> {
        let bytes = self.bytes.get(self.at..)?;
        match frame_in(bytes, self.place(self.at), self.last_sequence) {
            Found::Frame(frame) => Some((frame, self.at + FRAME_HEADER_SIZE + frame.body.len())),
            Found::Part(_) | Found::Nothing => None,
        }
    }

    /// The largest durable claim of any frame header that stands intact
    /// anywhere after the end of the intact part; `None` without one.
    ///
    /// Linear: headers are verified without their bodies.
    #[must_use]
    pub fn claims_after(&self) -> Option<u64> {
        claims_in(self.bytes.get(self.at..)?, self.place(self.at))
    }

    /// Passes over what is no intact frame to the next one that is; false: there is none, and
    /// nothing was passed. For who looks for what can be saved.
    pub fn resync(&mut self) -> bool {
        let last = self.bytes.len().saturating_sub(FRAME_HEADER_SIZE);
        let next = (self.at + 1..=last).find(|&at| {
            let is_frame = || FrameReader { at, ..*self }.peek().is_some();
            let is_header = || claim_at(self.bytes.get(at..)?, self.place(at));
            is_header().is_some() && is_frame()
        });
        self.at = next.unwrap_or(self.at);
        next.is_some()
    }

    /// The sequence of the next frame, if there is one.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.peek().map(|(frame, _)| frame.sequence)
    }

    /// Passes over all that is left.
    pub fn end(&mut self) {
        self.at = self.bytes.len();
    }
}

impl<'a> Iterator for FrameReader<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (frame, end) = self.peek()?;
        self.at = end;
        self.last_sequence = Some(frame.sequence);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: DatabaseId = DatabaseId(7);
    const FILE: FileId = FileId(3);

    fn file_of(bodies: &[&[u8]], durable: impl Fn(u64) -> u64) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, body) in (1..).zip(bodies) {
            let offset = to_u64(out.len());
            let place = FramePlace { database: DB, file: FILE, offset };
            put_frame(&mut out, place, i, durable(offset), body, crc(body));
        }
        out
    }

    fn bodies(bytes: &[u8]) -> Vec<Vec<u8>> {
        FrameReader::new(bytes, 0, DB, FILE).map(|f| f.body.to_vec()).collect()
    }

    #[test]
    fn every_prefix_gives_a_prefix_of_the_frames() {
        let all: [&[u8]; 3] = [b"one", b"a longer second", b"3"];
        let bytes = file_of(&all, |_| 0);
        for cut in 0..=bytes.len() {
            let got = bodies(&bytes[..cut]);
            assert!(got.iter().zip(all).all(|(g, a)| g == a), "cut at {cut}");
            assert_eq!(got.len() == 3, cut == bytes.len());
        }
    }

    #[test]
    fn every_flipped_bit_ends_the_intact_part_at_its_frame() {
        let all: [&[u8]; 3] = [b"one", b"second", b"3"];
        let bytes = file_of(&all, |_| 0);
        let ends: Vec<usize> = FrameReader::new(&bytes, 0, DB, FILE)
            .map(|f| usize::try_from(f.offset).expect("small") + FRAME_HEADER_SIZE + f.body.len())
            .collect();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let intact = ends.iter().filter(|&&end| end <= bit / 8).count();
            assert_eq!(bodies(&damaged).len(), intact, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_in_another_place_is_not_read() {
        let bytes = file_of(&[b"x"], |_| 0);
        assert_eq!(FrameReader::new(&bytes, 0, DatabaseId(8), FILE).count(), 0);
        assert_eq!(FrameReader::new(&bytes, 0, DB, FileId(4)).count(), 0);
        let mut shifted = vec![0];
        shifted.extend_from_slice(&bytes);
        assert_eq!(FrameReader::new(&shifted, 1, DB, FILE).count(), 0);
    }

    #[test]
    fn claims_beyond_damage_are_found() {
        // Each frame claims everything before it.
        let bytes = file_of(&[b"one", b"two", b"three"], |offset| offset);
        let mut reader = FrameReader::new(&bytes, 0, DB, FILE);
        let third = reader.by_ref().last().expect("three frames").offset;
        assert_eq!(reader.claims_after(), None);
        let mut damaged = bytes.clone();
        damaged[FRAME_HEADER_SIZE] ^= 1;
        let mut reader = FrameReader::new(&damaged, 0, DB, FILE);
        assert_eq!(reader.next(), None);
        assert_eq!(reader.offset(), 0);
        assert_eq!(reader.claims_after(), Some(third));
        // A last frame cut in its body still makes its claim.
        let cut = &damaged[..damaged.len() - 1];
        let mut reader = FrameReader::new(cut, 0, DB, FILE);
        assert_eq!(reader.next(), None);
        assert_eq!(reader.claims_after(), Some(third));
    }

    #[test]
    fn a_sequence_that_does_not_rise_ends_the_file() {
        let mut bytes = file_of(&[b"one", b"two"], |_| 0);
        let place = FramePlace { database: DB, file: FILE, offset: to_u64(bytes.len()) };
        put_frame(&mut bytes, place, 2, 0, b"stale", crc(b"stale"));
        assert_eq!(bodies(&bytes).len(), 2);
    }
}
