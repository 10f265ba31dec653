//! A cursor over a memtable, in both directions.

use super::Memtable;
use super::arena::{Arena, HeldNodes, NodeRef};
use super::skiplist;
use crate::error::Result;
use crate::format::{EntryRef, SeqNo};
use crate::iter::{Cursor, Moved};
use std::sync::Arc;

/// Where the cursor is, among the nodes that it holds.
const HERE: usize = 0;
/// A node further on; see [`MemtableCursor::scout`].
const AHEAD: usize = 1;

/// The level on which the node ahead goes: of the nodes, one of four is on it.
const SCOUT_LEVEL: usize = 2;
/// So many nodes of that level it is ahead.
const SCOUT_HOPS: usize = 2;
/// After how many steps in a row it begins: most walks are shorter.
const SCOUT_AFTER: u32 = 16;

/// A [`Cursor`] over the entries of a [`Memtable`], which it keeps alive.
///
/// It sees entries that are inserted while it is in use, as far as they lie
/// ahead of it. It never fails. [`Cursor::prev`] costs a search.
#[derive(Debug)]
pub struct MemtableCursor {
    nodes: HeldNodes<2>,
    /// Forward, one after the other.
    steps: u32,
}

impl MemtableCursor {
    pub(super) fn new(memtable: &Memtable) -> Self {
        MemtableCursor { nodes: HeldNodes::new(Arc::clone(&memtable.arena)), steps: 0 }
    }

    /// Goes elsewhere.
    fn jump(
        &mut self,
        find: impl for<'a> FnOnce(&'a Arena, Option<NodeRef<'a>>) -> Option<NodeRef<'a>>,
    ) {
        self.nodes.set(HERE, |arena, [here, _]| find(arena, here));
        self.nodes.set(AHEAD, |_, _| None);
        self.steps = 0;
    }

    /// Has nodes fetched that the cursor comes to some steps later.
    ///
    /// Each node is known from one before alone, so that a walk waits for memory at each. A node ahead goes along, in the hops of a higher level,
    /// each when the cursor comes to a node of that level; what it links to on the levels up to that, of the nodes until the next hop three out of four, is fetched.
    fn scout(&mut self) {
        let is_new = self.nodes.get(AHEAD).is_none();
        for _ in 0..if is_new { SCOUT_HOPS } else { 1 } {
            self.nodes.set(AHEAD, |_, [here, ahead]| {
                let from = ahead.or(here)?.of_known_height();
                let to = from.next(SCOUT_LEVEL)?.node;
                for level in 0..=SCOUT_LEVEL {
                    if let Some(link) = to.next(level) {
                        link.node.prefetch();
                    }
                }
                Some(to)
            });
        }
    }
}

impl Cursor for MemtableCursor {
    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        self.nodes.get(HERE).map(|node| node.entry())
    }

    fn seek_first(&mut self) -> Result<()> {
        self.jump(|arena, _| skiplist::first(arena));
        Ok(())
    }

    fn seek_last(&mut self) -> Result<()> {
        self.jump(|arena, _| skiplist::last(arena));
        Ok(())
    }

    fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.jump(|arena, _| skiplist::first_at_or_after(arena, key, seq));
        Ok(())
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        self.jump(|arena, _| skiplist::last_before(arena, key, seq));
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<Moved> {
        let (mut is_version, mut height) = (false, 0);
        self.nodes.set(HERE, |_, [here, _]| {
            let (left, next) = (here?, skiplist::next(here?)?);
            // While this one is dealt with, the next is on its way.
            if let Some(after) = skiplist::next(next) {
                after.prefetch();
            }
            is_version = left.key() == next.key();
            height = next.of_known_height().height_min();
            Some(next)
        });
        self.steps = self.steps.saturating_add(1);
        if height > SCOUT_LEVEL && self.steps > SCOUT_AFTER {
            self.scout();
        }
        Ok(Moved { is_version, shared: 0 })
    }

    fn prev(&mut self) -> Result<()> {
        self.jump(|arena, node| {
            let node = node?;
            skiplist::last_before(arena, node.key(), node.seq())
        });
        Ok(())
    }
}
