//! What is done to a file: by a recipe, and by libFuzzer's mutator.

use arbitrary::Arbitrary;

/// The largest file that mutations make.
const FILE_BYTES_MAX: usize = 256 << 10;

/// A change of the bytes of a file. Positions count modulo its length.
#[derive(Debug, Clone, Arbitrary)]
pub enum ByteEdit {
    /// Flips a bit.
    Flip(u32, u8),
    /// Sets a byte.
    Set(u32, u8),
    /// Sets eight bytes to a number: a length, a count, an offset.
    SetNumber(u32, Number),
    /// Inserts bytes.
    Insert(u32, [u8; 3]),
    /// Removes bytes.
    Remove(u32, u8),
    /// Cuts the file.
    Truncate(u32),
    /// Appends zeros.
    Extend(u16),
    /// Fills with zeros.
    Zero(u32, u16),
    /// Copies bytes from one place over another.
    Copy(u32, u32, u16),
}

/// A number that decoders may stumble over.
#[derive(Debug, Clone, Arbitrary)]
pub enum Number {
    /// Small.
    Small(u8),
    /// Below a power of two by this, or above.
    NearPowerOfTwo(u8, i8),
    /// Any.
    Any(u64),
}

impl Number {
    fn value(&self) -> u64 {
        match self {
            Number::Small(n) => u64::from(*n),
            Number::NearPowerOfTwo(power, by) => {
                1_u64.rotate_left(u32::from(*power)).wrapping_add_signed(i64::from(*by))
            }
            Number::Any(n) => *n,
        }
    }
}

impl ByteEdit {
    /// Makes the change.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let within = |at: u32| if len == 0 { 0 } else { at as usize % len };
        match *self {
            ByteEdit::Truncate(at) => bytes.truncate(within(at)),
            ByteEdit::Extend(by) => bytes.resize((len + usize::from(by)).min(FILE_BYTES_MAX), 0),
            ByteEdit::Insert(at, what) => {
                let at = within(at);
                bytes.splice(at..at, what);
            }
            ByteEdit::Remove(at, count) => {
                let at = within(at);
                bytes.drain(at..len.min(at + usize::from(count)));
            }
            ByteEdit::Flip(at, bit) => over(bytes, within(at), &[1 << (bit % 8)], |a, b| a ^ b),
            ByteEdit::Set(at, byte) => over(bytes, within(at), &[byte], |_, b| b),
            ByteEdit::SetNumber(at, ref n) => {
                over(bytes, within(at), &n.value().to_le_bytes(), |_, b| b);
            }
            ByteEdit::Zero(at, count) => {
                over(bytes, within(at), &vec![0; usize::from(count)], |_, b| b);
            }
            ByteEdit::Copy(from, to, count) => {
                let from = within(from);
                let copied = bytes[from..len.min(from + usize::from(count))].to_vec();
                over(bytes, within(to), &copied, |_, b| b);
            }
        }
    }
}

fn over(bytes: &mut [u8], at: usize, what: &[u8], how: impl Fn(u8, u8) -> u8) {
    bytes.iter_mut().skip(at).zip(what).for_each(|(to, from)| *to = how(*to, *from));
}

/// A change of the order of a file's parts: frames, blocks, whole files.
#[derive(Debug, Clone, Arbitrary)]
pub enum PartEdit {
    /// Swaps two.
    Swap(u8, u8),
    /// Puts one in a second time.
    Duplicate(u8, u8),
    /// Takes one out.
    Drop(u8),
}

impl PartEdit {
    /// Makes the change. Positions count modulo the number of parts.
    pub fn apply<T: Clone>(&self, parts: &mut Vec<T>) {
        let len = parts.len();
        if len == 0 || len > 1000 {
            return;
        }
        let within = |at: u8| usize::from(at) % len;
        match *self {
            PartEdit::Swap(a, b) => parts.swap(within(a), within(b)),
            PartEdit::Duplicate(from, to) => {
                let part = parts[within(from)].clone();
                parts.insert(within(to), part);
            }
            PartEdit::Drop(at) => drop(parts.remove(within(at))),
        }
    }
}

/// What is done to a valid file.
#[derive(Debug, Clone, Arbitrary)]
pub struct Mutations {
    /// First, to its parts.
    pub parts: Vec<PartEdit>,
    /// Then, to its bytes.
    pub bytes: Vec<ByteEdit>,
    /// And at last, whether its checksums are put right.
    pub fix: bool,
}

impl Mutations {
    /// Makes the changes to a file that is these parts.
    #[must_use]
    pub fn apply(&self, mut parts: Vec<Vec<u8>>, fix: impl Fn(&mut [u8])) -> Vec<u8> {
        self.parts.iter().take(20).for_each(|edit| edit.apply(&mut parts));
        let mut bytes = parts.concat();
        self.bytes.iter().take(20).for_each(|edit| edit.apply(&mut bytes));
        if self.fix {
            fix(&mut bytes);
        }
        bytes
    }
}

/// The first byte in which two files differ; `None`: they do not.
#[must_use]
pub fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    (common < a.len() || common < b.len()).then_some(common)
}

/// libFuzzer's own mutation; where the input is a file as it is, its checksums
/// are then put right, three times of four.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    by_default: impl Fn(&mut [u8], usize, usize) -> usize,
    fix: impl Fn(&mut [u8]),
) -> usize {
    let is_file = size > 1 && max_size > 1 && data[0] & 1 == 0;
    if !is_file || seed.is_multiple_of(16) {
        return by_default(data, size, max_size);
    }
    let file = &mut data[1..];
    let len = by_default(file, size - 1, max_size - 1);
    if !seed.is_multiple_of(4) {
        fix(&mut file[..len]);
    }
    1 + len
}
