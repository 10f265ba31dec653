//! The bytes of a file, shared between images until one of them writes.

use crate::format::codec::without_zeros_at_end;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Bytes that know their hash once it has been asked for.
#[derive(Debug, Default, Clone)]
pub(super) struct Content {
    shared: Arc<Bytes>,
}

#[derive(Debug, Default, Clone)]
struct Bytes {
    bytes: Vec<u8>,
    hash: OnceLock<u64>,
}

impl Content {
    /// The bytes, to be changed; others that share them keep theirs.
    pub(super) fn change(&mut self) -> &mut Vec<u8> {
        let own = Arc::make_mut(&mut self.shared);
        own.hash.take();
        &mut own.bytes
    }

    /// A number that other bytes hardly ever have.
    pub(super) fn hash(&self) -> u64 {
        *self.shared.hash.get_or_init(|| hash_of(&self.shared.bytes))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Content { shared: Arc::new(Bytes { bytes, hash: OnceLock::new() }) }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.shared.bytes
    }
}

/// The zeros at the end, of which a file that was extended ahead has many,
/// follow from the length.
fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(bytes.len());
    hasher.write(without_zeros_at_end(bytes));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_follow_the_bytes() {
        let mut content = Content::from(vec![0; 10_000]);
        let kept = content.clone();
        let before = content.hash();
        content.change()[3] = 1;
        assert_ne!(content.hash(), before);
        assert_eq!((kept.hash(), kept[3]), (before, 0));
        content.change()[3] = 0;
        assert_eq!(content.hash(), before);
        content.change().push(0);
        assert_ne!(content.hash(), before, "the length counts");
    }
}
