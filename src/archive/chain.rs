//! A full backup, and increments each upon the one before, as one.

use super::format::{Header, Held};
use super::reader::{ArchiveReader, Entry};
use crate::error::{Error, Result};
use std::cell::Cell;
use std::io::Read;
use std::path::Path;

/// Backups of which the first is full, and each other has what has changed since the one before. What
/// they come to is read in one go; the memory for that is that of as many readers.
#[derive(Debug)]
pub struct Chain<R> {
    /// The oldest first.
    links: Vec<Link<R>>,
}

#[derive(Debug)]
struct Link<R> {
    reader: ArchiveReader<R>,
    /// The entry at which the reader is has been given out, or is hidden by a newer one.
    is_passed: Cell<bool>,
}

impl<R: Read> Chain<R> {
    /// Of `readers`, none of which has been read.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the one that does not follow upon the one before.
    pub fn new(readers: Vec<ArchiveReader<R>>) -> Result<Self> {
        check_first(readers.first())?;
        for at in 1..readers.len() {
            check_link(readers.get(..at).unwrap_or_default(), readers.get(at))?;
        }
        let link = |reader| Link { reader, is_passed: Cell::new(true) };
        Ok(Chain { links: readers.into_iter().map(link).collect() })
    }

    /// What the last of them says of itself: what they come to is what the database held then.
    pub fn header(&self) -> &Header {
        self.links.last().expect("there is a first").reader.header()
    }

    /// Everything that expires by then has been seen expired, in milliseconds since the Unix epoch.
    pub fn expiry_floor_ms(&self) -> u64 {
        let floors = self.links.iter().map(|link| link.reader.header().expiry_floor_ms);
        floors.max().unwrap_or_default()
    }

    /// How many bytes have been read.
    pub fn bytes_read(&self) -> u64 {
        self.links.iter().map(|link| link.reader.offset()).sum()
    }

    /// The backups, one by one.
    pub fn into_readers(self) -> Vec<ArchiveReader<R>> {
        self.links.into_iter().map(|link| link.reader).collect()
    }

    /// The next entry that there is after all of them, and the backup that has it. `None` at the end,
    /// when each has turned out to be sound.
    ///
    /// # Errors
    /// As [`ArchiveReader::next_entry`].
    pub fn next_entry(&mut self) -> Result<Option<(Entry<'_>, &Path)>> {
        // A full backup alone, as most are: nothing to compare, and it has no deletes.
        if self.links.len() == 1 {
            let Link { reader, .. } = self.links.first_mut().expect("there is one");
            reader.advance()?;
            return Ok(reader.entry().map(|entry| (entry, reader.path())));
        }
        let at = loop {
            for link in &mut self.links {
                // One that has ended stays at its end.
                if link.is_passed.replace(false) {
                    link.reader.advance()?;
                }
            }
            match self.pass_least() {
                None => return Ok(None),
                Some((_, true)) => {}
                Some((at, false)) => break at,
            }
        };
        let link = self.links.get(at);
        Ok(link.and_then(|Link { reader, .. }| Some((reader.entry()?, reader.path()))))
    }

    /// Passes the least key; which backup has it newest, and whether it is deleted there.
    fn pass_least(&self) -> Option<(usize, bool)> {
        let entries = || {
            let all = self.links.iter().enumerate();
            all.filter_map(|(at, link)| Some((at, link, link.reader.entry()?)))
        };
        let mut least: Option<(usize, Entry<'_>)> = None;
        for (at, _, entry) in entries() {
            // Of the same key the later hides the one before.
            if least.as_ref().is_none_or(|(_, least)| entry.key <= least.key) {
                least = Some((at, entry));
            }
        }
        let (at, least) = least?;
        for (_, link, _) in entries().filter(|(_, _, entry)| entry.key == least.key) {
            link.is_passed.set(true);
        }
        Some((at, least.held == Held::Deleted))
    }
}

fn check_first<R: Read>(first: Option<&ArchiveReader<R>>) -> Result<()> {
    let first = first.ok_or_else(|| Error::invalid("no backup is named; name a full one first"))?;
    first.header().base.map_or(Ok(()), |base| {
        Err(Error::invalid(format!(
            "{} is an increment upon the backup {:#018x}; name the full backup, then all increments \
             upon it in their order",
            first.path().display(),
            base.id.0
        )))
    })
}

/// Whether `next` follows upon the last of those before.
fn check_link<R: Read>(before: &[ArchiveReader<R>], next: Option<&ArchiveReader<R>>) -> Result<()> {
    let (Some(last), Some(next)) = (before.last(), next) else { return Ok(()) };
    let (header, expected) = (next.header(), last.header().as_ref());
    let is_later = header.seq >= expected.seq;
    let is_same_database = header.database == last.header().database;
    if header.base == Some(expected) && is_same_database && is_later {
        return Ok(());
    }
    let why = match header.base {
        None => "it is a full backup, which begins a chain of its own".to_owned(),
        Some(_) if !is_same_database => "it is of another database".to_owned(),
        Some(base) => {
            let earlier = before.iter().find(|reader| reader.header().as_ref() == base);
            match earlier {
                Some(earlier) => format!("it follows upon {}", earlier.path().display()),
                None => format!("it follows upon the backup {:#018x}, which is missing", base.id.0),
            }
        }
    };
    Err(Error::invalid(format!(
        "{} does not follow upon {}: {why}",
        next.path().display(),
        last.path().display()
    )))
}

#[cfg(test)]
mod tests {
    use super::super::tests::backup_of;
    use super::*;
    use crate::format::{BackupRef, DatabaseId, SeqNo};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn header(number: u64, seq: u64, base: Option<(u64, u64)>) -> Header {
        Header {
            backup: DatabaseId(number),
            database: DatabaseId(6),
            seq: SeqNo(seq),
            base: base.map(|(id, seq)| BackupRef { id: DatabaseId(id), seq: SeqNo(seq) }),
            created_ms: 8,
            expiry_floor_ms: number,
        }
    }

    fn chain(backups: &[Vec<u8>]) -> Result<Chain<&[u8]>> {
        let reader = |(at, bytes)| {
            let path = PathBuf::from(format!("b{at}"));
            ArchiveReader::new(Vec::as_slice(bytes), path).expect("sound")
        };
        Chain::new(backups.iter().enumerate().map(reader).collect())
    }

    #[test]
    fn each_link_names_the_one_before() {
        let full = header(1, 10, None);
        let first = header(2, 20, Some((1, 10)));
        let second = header(3, 30, Some((2, 20)));
        let other = |header: Header| Header { database: DatabaseId(7), ..header };
        let refusal = |headers: &[Header]| {
            let backups: Vec<_> = headers.iter().map(|h| backup_of(*h, &BTreeMap::new())).collect();
            match chain(&backups) {
                Ok(_) => String::new(),
                Err(Error::InvalidArgument { detail }) => detail,
                Err(e) => panic!("{e}"),
            }
        };
        assert_eq!(refusal(&[full, first, second]), "");
        // Nothing happened between two of them.
        assert_eq!(refusal(&[full, header(2, 10, Some((1, 10)))]), "");
        let cases: [(&[Header], &str); 10] = [
            (&[], "no backup is named"),
            (&[first], "b0 is an increment upon the backup 0x0000000000000001"),
            (&[full, second], "it follows upon the backup 0x0000000000000002, which is missing"),
            (&[full, second, first], "b1 does not follow upon b0"),
            (&[full, first, first], "b2 does not follow upon b1: it follows upon b0"),
            (&[full, first, second, first], "it follows upon b0"),
            (&[full, full], "it is a full backup"),
            (&[full, other(first)], "it is of another database"),
            // The right number, and another state.
            (&[full, header(2, 20, Some((1, 9)))], "does not follow"),
            (&[full, header(2, 20, Some((5, 10)))], "which is missing"),
        ];
        for (headers, expected) in cases {
            let refused = refusal(headers);
            assert!(refused.contains(expected), "{refused}: {expected}");
        }
    }

    #[test]
    fn one_that_goes_back_follows_upon_nothing() {
        // No header says so of itself: 9 is refused as the number of an increment since 10.
        let bytes = backup_of(header(2, 9, Some((1, 10))), &BTreeMap::new());
        let e = ArchiveReader::new(bytes.as_slice(), PathBuf::from("b")).expect_err("nonsense");
        assert!(matches!(e, Error::Corruption { .. }), "{e}");
    }

    type Entries = BTreeMap<Vec<u8>, (Option<u64>, u8, Vec<u8>)>;

    proptest! {
        /// What a chain comes to is what its backups make of a map, one after the other.
        #[test]
        fn a_chain_is_its_backups_one_after_the_other(
            changes in proptest::collection::vec(
                proptest::collection::btree_map(
                    proptest::collection::vec(0..3_u8, 0..3),
                    (any::<Option<u64>>(), 0..3_u8, proptest::collection::vec(any::<u8>(), 0..20)),
                    0..20,
                ),
                1..5,
            ),
        ) {
            let (mut backups, mut model) = (Vec::new(), Entries::new());
            for (number, entries) in (1..).zip(&changes) {
                let base = (number > 1).then_some((number - 1, number - 1));
                let mut entries = entries.clone();
                entries.retain(|_, (_, kind, _)| number > 1 || *kind > 0);
                backups.push(backup_of(header(number, number, base), &entries));
                model.extend(entries);
            }
            model.retain(|_, (_, kind, _)| *kind > 0);
            let total: usize = backups.iter().map(Vec::len).sum();
            let mut chain = chain(&backups).expect("each follows");
            prop_assert_eq!(usize::try_from(chain.expiry_floor_ms()), Ok(changes.len()));
            let mut expected = model.iter();
            while let Some((entry, _)) = chain.next_entry().expect("sound") {
                let (key, (expires_at_ms, _, value)) = expected.next().expect("no more than that");
                prop_assert_eq!((entry.key, entry.expires_at_ms), (key.as_slice(), *expires_at_ms));
                let found = match entry.held {
                    Held::Deleted => panic!("what is gone is not given out"),
                    Held::Inline(found) => found,
                    Held::Apart(found) => found.bytes,
                };
                prop_assert_eq!(found, value.as_slice());
            }
            prop_assert!(expected.next().is_none());
            prop_assert_eq!(usize::try_from(chain.bytes_read()), Ok(total));
        }
    }
}
