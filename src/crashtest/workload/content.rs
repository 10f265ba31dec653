//! What is written: values that tell which commit wrote them.

use super::Dice;

/// `size` bytes (and never fewer than its own number takes) that no other
/// number and index have, and that no compression makes smaller.
///
/// ```
/// use esker::crashtest::workload::{compressible_value, value};
/// assert_eq!(value(3, 0, 100).len(), 100);
/// assert_eq!(value(3, 0, 100), value(3, 0, 100));
/// assert_ne!(value(3, 0, 100), value(4, 0, 100)); // It tells which commit wrote it.
/// let again = compressible_value(3, 0, 1000);
/// assert!(again[..500].windows(2).any(|two| again[500..].starts_with(two)));
/// ```
#[must_use]
pub fn value(number: u64, index: u64, size: u64) -> Vec<u8> {
    let mut bytes = format!("{number}/{index}:").into_bytes();
    let mut dice = Dice(number << 32 | index);
    while (bytes.len() as u64) < size {
        bytes.extend(dice.next().to_le_bytes());
    }
    bytes
}

/// As [`value`], but it is its own number over and over, which compresses to little.
///
/// See the example of [`value`].
#[must_use]
pub fn compressible_value(number: u64, index: u64, size: u64) -> Vec<u8> {
    let unit = format!("{number}/{index};").into_bytes();
    let size = usize::try_from(size).unwrap_or(usize::MAX).max(unit.len());
    unit.iter().copied().cycle().take(size).collect()
}

/// The call that makes `bytes`, where it is one of these.
pub(super) fn origin(bytes: &[u8]) -> Option<String> {
    let head = bytes.split(|byte| matches!(byte, b':' | b';')).next()?;
    let (number, index) = str::from_utf8(head).ok()?.split_once('/')?;
    let (number, index) = (number.parse().ok()?, index.parse().ok()?);
    let size = bytes.len() as u64;
    let call = |name: &str| Some(format!("{name}({number}, {index}, {size})"));
    if value(number, index, size) == bytes {
        call("value")
    } else if compressible_value(number, index, size) == bytes {
        call("compressible_value")
    } else {
        None
    }
}
