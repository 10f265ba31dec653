//! A key that is put together from what it shares with the one before, and the rest.

/// What is copied of a key at least: of most keys the part that is not shared is shorter, and
/// to copy so many bytes always takes two instructions in place of a call.
pub const PIECE: usize = 16;

/// A key, in memory that reaches further by a [`PIECE`].
#[derive(Debug, Default)]
pub struct KeyBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl KeyBuffer {
    /// The key.
    #[inline]
    pub fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Keeps the first `shared` bytes and puts the first `size` of `piece` behind them; true when that
    /// leaves the key as it was. `None`, and nothing was done: there is no room yet.
    #[inline(always)]
    pub fn replace_short_end(
        &mut self,
        shared: usize,
        size: usize,
        piece: &[u8; PIECE],
    ) -> Option<bool> {
        *self.bytes.get_mut(shared..)?.first_chunk_mut()? = *piece;
        // All that it can share it shares.
        let is_same = size == 0 && shared == self.len;
        self.len = shared + size;
        Some(is_same)
    }

    /// Keeps the first `shared` bytes and puts `rest` behind them.
    pub fn replace_end(&mut self, shared: usize, rest: &[u8]) {
        self.len = shared + rest.len();
        if self.bytes.len() < self.len + PIECE {
            self.bytes.resize(self.len + PIECE, 0);
        }
        self.bytes[shared..self.len].copy_from_slice(rest);
    }
}
