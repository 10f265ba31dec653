//! Reads every block of a table, and counts what its properties should say.

use super::block::Block;
use super::head::Head;
use super::position::Position;
use super::read_ahead::{Direction, ReadAhead};
use super::reader::Table;
use crate::format::key::compare;
use crate::format::{EntryRef, KeyHash, Properties, SeqNo};
use crate::fs::{Inspected, Inspector};
use std::cmp::Ordering;

/// Who has a table inspected, and looks at its entries.
pub trait TableInspector: Inspector {
    /// Told where each block stands that is not damaged, before its entries.
    ///
    /// # Errors
    /// [`Stop`] ends the inspection.
    fn enter(&mut self, offset: u64, bytes: u64) -> Inspected {
        let _ = (offset, bytes);
        Ok(())
    }

    /// Told of each entry, in order; those of damaged blocks are left out.
    ///
    /// # Errors
    /// [`Stop`] ends the inspection.
    fn see(&mut self, entry: EntryRef<'_>) -> Inspected;
}

/// Checks all of `table`: every block, the order from block to block against the separators
/// (INV-1, INV-6), that every key is in the filter (INV-7), and what it and the manifest say of it.
/// False: not all of it could be read.
///
/// # Errors
/// [`crate::fs::Stop`], from `inspector`.
pub fn inspect(table: &Table, inspector: &mut dyn TableInspector) -> Inspected<bool> {
    let (footer, head) = match Head::read(table) {
        Ok(read) => read,
        Err(e) => {
            inspector.tell(e);
            return Ok(false);
        }
    };
    inspector.pass(table.meta().size_bytes - footer.properties_offset)?;
    let stated = table.properties(&footer).map_err(|e| inspector.tell(e)).ok();
    let mut walk = Walk::new(table, &head);
    for number in 0..head.index.blocks() {
        walk.block(number, inspector)?;
    }
    let Walk { counted, is_whole, .. } = walk;
    if is_whole && let Some(stated) = &stated {
        let at = footer.properties_offset;
        let meta = &table.meta().properties;
        if *stated != counted {
            inspector
                .tell(table.place().damage(at, format!("expected {counted:?}, found {stated:?}")));
        } else if *stated != *meta {
            let detail = format!("the manifest expects {meta:?}, found {stated:?}");
            inspector.tell(table.place().damage(at, detail));
        }
    }
    Ok(is_whole && stated.is_some())
}

struct Walk<'a> {
    table: &'a Table,
    head: &'a Head,
    ahead: ReadAhead,
    counted: Properties,
    /// The last entry of the block before; `None`: that is damaged, or there is none.
    last: Option<(Vec<u8>, SeqNo)>,
    position: Position,
    is_whole: bool,
}

impl<'a> Walk<'a> {
    fn new(table: &'a Table, head: &'a Head) -> Self {
        Walk {
            table,
            head,
            ahead: ReadAhead::always(),
            counted: Properties::default(),
            last: None,
            position: Position::default(),
            is_whole: true,
        }
    }

    fn block(&mut self, number: usize, inspector: &mut dyn TableInspector) -> Inspected {
        let index = &self.head.index;
        let (start, end, _) = index.block(number).expect("counted up to the last");
        let read = self.ahead.block(self.table, index, number, Direction::Forward);
        inspector.pass(end - start)?;
        let block = match read {
            Ok(block) => block,
            Err(e) => {
                inspector.tell(e);
                (self.is_whole, self.last) = (false, None);
                return Ok(());
            }
        };
        let table = self.table;
        let mut wrong = |detail| inspector.tell(table.place().damage(start, detail));
        block.go_to(&mut self.position, 0);
        if self.is_misplaced(number, &block) {
            self.is_whole = false;
            wrong("the block is not where the index has it");
        } else if !self.is_in_filter(&block) {
            wrong("a key of the block is not in the filter");
        }
        block.go_to(&mut self.position, 0);
        inspector.enter(start, end - start)?;
        self.count(number, &block, inspector)
    }

    /// Whether the block is not where the separators have it; the position is at its first entry.
    fn is_misplaced(&self, number: usize, block: &Block) -> bool {
        let (separator, separator_seq) = self.head.index.separator(number);
        let first = block.entry_at(&self.position);
        let before_first =
            compare(&separator, separator_seq, first.key, first.seq) != Ordering::Greater;
        let Some((last_key, last_seq)) = &self.last else { return !before_first };
        let after_last = compare(last_key, *last_seq, &separator, separator_seq) == Ordering::Less;
        // Between two versions of a key, a search for what is not there would
        // end in the block before and miss the one behind.
        let is_next = separator_seq == SeqNo::MAX
            || *last_key == separator && separator_seq.0 + 1 == last_seq.0;
        !(after_last && before_first && is_next)
    }

    fn is_in_filter(&mut self, block: &Block) -> bool {
        loop {
            let entry = block.entry_at(&self.position);
            if !self.head.filter.may_contain(KeyHash::of(entry.key)) {
                return false;
            }
            if block.advance(&mut self.position).is_none() {
                return true;
            }
        }
    }

    fn count(
        &mut self,
        number: usize,
        block: &Block,
        inspector: &mut dyn TableInspector,
    ) -> Inspected {
        let Walk { counted, last, position, .. } = self;
        if number == 0 {
            counted.smallest_key = block.entry_at(position).key.to_vec();
        }
        let mut key = last.take().map_or_else(Vec::new, |(key, _)| key);
        let mut is_first = number == 0;
        let seq = loop {
            let entry = block.entry_at(position);
            counted.count(entry, !is_first && entry.key == key);
            inspector.see(entry)?;
            is_first = false;
            key.clear();
            key.extend_from_slice(entry.key);
            let seq = entry.seq;
            if block.advance(position).is_none() {
                break seq;
            }
        };
        counted.largest_key.clone_from(&key);
        *last = Some((key, seq));
        Ok(())
    }
}

/// For tests and fuzzers, to which one error is as good as many.
#[cfg(any(test, feature = "sim"))]
pub mod first {
    use super::{Table, TableInspector, inspect};
    use crate::error::{Error, Result};
    use crate::format::EntryRef;
    use crate::fs::{Inspected, Inspector, Stop};

    /// The first error alone.
    #[derive(Debug, Default)]
    struct First(Option<Error>);

    impl Inspector for First {
        fn pass(&mut self, _bytes: u64) -> Inspected {
            if self.0.is_some() { Err(Stop) } else { Ok(()) }
        }

        fn tell(&mut self, e: Error) {
            self.0.get_or_insert(e);
        }
    }

    impl TableInspector for First {
        fn see(&mut self, _entry: EntryRef<'_>) -> Inspected {
            Ok(())
        }
    }

    /// The first damage of `table`.
    ///
    /// # Errors
    /// That.
    pub fn damage(table: &Table) -> Result<()> {
        let mut first = First::default();
        let _ = inspect(table, &mut first); // Stopped by itself, if at all.
        first.0.map_or(Ok(()), Err)
    }
}
