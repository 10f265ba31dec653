//! What was committed last, noted while somebody may ask.

use super::batch::Batch;
use crate::format::SeqNo;

/// Memory of one of the two generations, in bytes; what is asked of them takes at most some
/// milliseconds under the lead.
const GENERATION_BYTES_MAX: usize = 256 << 10;

/// So many groups are still noted when no transaction is open that has read: the next one
/// mostly comes soon, and would find that notes begin too late for it.
const IDLE_GROUPS_MAX: u32 = 256;

/// The keys that were committed after a certain number, up to now.
///
/// Kept by the leader. Two generations of notes, so that memory is bounded and nothing is
/// moved: when the newer is full, the older is forgotten. Who asks for more than is noted
/// must look into the store itself.
#[derive(Debug, Default)]
pub struct Window {
    noted: Option<Noted>,
    idle_groups: u32,
}

#[derive(Debug)]
struct Noted {
    /// Every commit after this number is here.
    from: SeqNo,
    older: Generation,
    newer: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    /// Of each batch its last number, and where its keys end in `keys`.
    batches: Vec<(SeqNo, usize)>,
    /// Each with its length, two bytes, before it.
    keys: Vec<u8>,
}

impl Window {
    /// Whether the group that comes next is to be noted, which is the first after `last_seq`.
    /// Every group must be announced here. `has_readers`: an open transaction has read.
    pub fn is_noting(&mut self, has_readers: bool, last_seq: SeqNo) -> bool {
        self.idle_groups = if has_readers { 0 } else { self.idle_groups.saturating_add(1) };
        if self.idle_groups > IDLE_GROUPS_MAX || (self.noted.is_none() && !has_readers) {
            self.noted = None;
        } else if self.noted.is_none() {
            self.noted = Some(Noted::from(last_seq));
        }
        self.noted.is_some()
    }

    /// Notes the keys of `batch`, whose last operation has the number `last_seq`.
    pub fn note(&mut self, batch: &Batch, last_seq: SeqNo) {
        let Some(noted) = &mut self.noted else { return };
        if !noted.newer.add(batch, last_seq) {
            *noted = Noted::from(last_seq);
        } else if noted.newer.size_bytes() > GENERATION_BYTES_MAX {
            if let Some((seq, _)) = noted.older.batches.last() {
                noted.from = *seq;
            }
            noted.older = std::mem::take(&mut noted.newer);
        }
    }

    /// Something was committed, up to `last_seq`, of which the keys are not known.
    pub fn forget(&mut self, last_seq: SeqNo) {
        if let Some(noted) = &mut self.noted {
            *noted = Noted::from(last_seq);
        }
    }

    /// Since which number everything is noted, if anything is.
    pub fn noted_from(&self) -> Option<SeqNo> {
        self.noted.as_ref().map(|noted| noted.from)
    }

    /// Whether `is_wanted` says so of a key that was committed after `seq`; `None`: not
    /// everything is noted that was.
    pub fn has_since(&self, seq: SeqNo, is_wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
        let noted = self.noted.as_ref().filter(|noted| noted.from <= seq)?;
        // The newest first: that is where a conflict mostly is.
        let generations = [&noted.newer, &noted.older];
        Some(generations.into_iter().any(|notes| notes.has_since(seq, &is_wanted)))
    }
}

impl Noted {
    fn from(seq: SeqNo) -> Self {
        Noted { from: seq, older: Generation::default(), newer: Generation::default() }
    }
}

impl Generation {
    fn size_bytes(&self) -> usize {
        self.keys.len() + size_of_val(self.batches.as_slice())
    }

    /// False: the batch alone is more than a generation holds.
    fn add(&mut self, batch: &Batch, last_seq: SeqNo) -> bool {
        let begins = self.keys.len();
        for key in batch.keys() {
            let size = u16::try_from(key.len()).expect("a key was checked against its limit");
            self.keys.extend_from_slice(&size.to_le_bytes());
            self.keys.extend_from_slice(key);
            if self.keys.len() - begins > GENERATION_BYTES_MAX {
                return false;
            }
        }
        self.batches.push((last_seq, self.keys.len()));
        true
    }

    fn has_since(&self, seq: SeqNo, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
        let before = self.batches.partition_point(|(last_seq, _)| *last_seq <= seq);
        let begins = before.checked_sub(1).and_then(|last| self.batches.get(last));
        let begins = begins.map_or(0, |(_, ends)| *ends);
        let mut rest = self.keys.get(begins..).unwrap_or_default();
        while let Some((size, behind)) = rest.split_first_chunk::<2>() {
            let size = usize::from(u16::from_le_bytes(*size));
            let (key, behind) = behind.split_at_checked(size).expect("we wrote it ourselves");
            if is_wanted(key) {
                return true;
            }
            rest = behind;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(keys: &[&str]) -> Batch {
        let mut batch = Batch::default();
        keys.iter().for_each(|key| batch.set(key.as_bytes(), b"v"));
        batch
    }

    fn has(window: &Window, seq: u64, key: &str) -> Option<bool> {
        window.has_since(SeqNo(seq), |noted| noted == key.as_bytes())
    }

    #[test]
    fn it_knows_what_came_after_a_number_and_from_where_it_knows() {
        let mut window = Window::default();
        assert!(!window.is_noting(false, SeqNo(4)));
        window.note(&batch(&["lost"]), SeqNo(5));
        assert_eq!(has(&window, 5, "lost"), None);
        assert!(window.is_noting(true, SeqNo(5)));
        window.note(&batch(&["a", ""]), SeqNo(7));
        window.note(&batch(&["b"]), SeqNo(8));
        assert_eq!(has(&window, 4, "b"), None, "what came before is not known");
        assert_eq!((has(&window, 5, "a"), has(&window, 5, "")), (Some(true), Some(true)));
        assert_eq!((has(&window, 7, "a"), has(&window, 7, "b")), (Some(false), Some(true)));
        assert_eq!(has(&window, 8, "b"), Some(false));
        window.forget(SeqNo(9));
        assert_eq!((has(&window, 8, "b"), has(&window, 9, "b")), (None, Some(false)));
    }

    #[test]
    fn it_goes_on_for_a_while_when_nobody_asks_and_then_ends() {
        let mut window = Window::default();
        assert!(window.is_noting(true, SeqNo(1)));
        for seq in 0..u64::from(IDLE_GROUPS_MAX) {
            assert!(window.is_noting(false, SeqNo(1 + seq)));
        }
        assert!(!window.is_noting(false, SeqNo(1000)));
        assert!(window.is_noting(true, SeqNo(1001)));
        assert_eq!((has(&window, 1000, "a"), has(&window, 1001, "a")), (None, Some(false)));
    }

    #[test]
    fn its_memory_is_bounded_and_what_is_forgotten_is_not_denied() {
        let mut window = Window::default();
        assert!(window.is_noting(true, SeqNo(0)));
        for seq in 1..100_000_u64 {
            window.note(&batch(&[&format!("key {seq}")]), SeqNo(seq));
            let noted = window.noted.as_ref().expect("somebody may ask");
            let size = noted.older.size_bytes() + noted.newer.size_bytes();
            assert!(size <= 2 * GENERATION_BYTES_MAX + 64, "{size} bytes");
        }
        let from = window.noted_from().expect("noted").0;
        assert!(from > 75_000 && from < 99_000, "{from}");
        assert_eq!(has(&window, from - 1, "key 1"), None);
        for seq in from..99_999 {
            assert_eq!(has(&window, seq, &format!("key {}", seq + 1)), Some(true), "{seq}");
            assert_eq!(has(&window, seq + 1, &format!("key {}", seq + 1)), Some(false), "{seq}");
        }
    }

    #[test]
    fn a_batch_that_is_too_large_is_not_noted_and_not_denied() {
        let mut window = Window::default();
        assert!(window.is_noting(true, SeqNo(0)));
        window.note(&batch(&["before"]), SeqNo(1));
        let mut large = Batch::default();
        (0..200_u8).for_each(|n| large.set(&[n; 2000], b""));
        window.note(&large, SeqNo(201));
        assert_eq!((has(&window, 0, "before"), has(&window, 200, "x")), (None, None));
        window.note(&batch(&["after"]), SeqNo(202));
        assert_eq!(has(&window, 201, "after"), Some(true));
    }
}
