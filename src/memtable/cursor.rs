//! A cursor over a memtable, in both directions.

use super::Memtable;
use super::arena::HeldNode;
use super::skiplist;
use crate::error::Result;
use crate::format::{EntryRef, SeqNo};
use crate::iter::{Cursor, Moved};
use std::sync::Arc;

/// A [`Cursor`] over the entries of a [`Memtable`], which it keeps alive.
///
/// It sees entries that are inserted while it is in use, as far as they lie
/// ahead of it. It never fails. [`Cursor::prev`] costs a search.
#[derive(Debug)]
pub struct MemtableCursor {
    node: HeldNode,
}

impl MemtableCursor {
    pub(super) fn new(memtable: &Memtable) -> Self {
        MemtableCursor { node: HeldNode::new(Arc::clone(&memtable.arena)) }
    }
}

impl Cursor for MemtableCursor {
    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        self.node.get().map(|node| node.entry())
    }

    fn seek_first(&mut self) -> Result<()> {
        self.node.move_to(|arena, _| skiplist::first(arena));
        Ok(())
    }

    fn seek_last(&mut self) -> Result<()> {
        self.node.move_to(|arena, _| skiplist::last(arena));
        Ok(())
    }

    fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.node.move_to(|arena, _| skiplist::first_at_or_after(arena, key, seq));
        Ok(())
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.node.move_to(|arena, _| skiplist::last_before(arena, key, seq));
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<Moved> {
        let mut is_version = false;
        self.node.move_to(|_, node| {
            let (left, next) = (node?, skiplist::next(node?)?);
            // Each node is known from the one before alone: while this one is dealt with, the next is on its way.
            if let Some(after) = skiplist::next(next) {
                after.prefetch();
            }
            is_version = left.key() == next.key();
            Some(next)
        });
        Ok(Moved { is_version, shared: 0 })
    }

    fn prev(&mut self) -> Result<()> {
        self.node.move_to(|arena, node| {
            let node = node?;
            skiplist::last_before(arena, node.key(), node.seq())
        });
        Ok(())
    }
}
