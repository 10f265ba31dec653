//! What was committed, what of it was promised, and which states keep the promise.
//!
//! The contract: after a crash the state is that of a prefix of the commit
//! order, with at least every commit acknowledged as durable in it. A commit
//! that failed may be there, whole, or not: each is left out of the order or
//! taken into it.

use super::store::Seen;
use super::workload::Op;
use std::collections::BTreeMap;
use std::time::Duration;

/// A value and when it expires, in milliseconds since the epoch.
type Entry = (Vec<u8>, Option<u64>);

/// A state, expired entries included.
///
/// See the example of [`History::rebase`].
pub type State = BTreeMap<Vec<u8>, Entry>;

#[derive(Debug, Clone)]
struct Commit {
    /// What takes the place of everything, before the operations.
    replaced_by: Option<State>,
    ops: Vec<Op>,
    made_at_ms: u64,
    succeeded: bool,
}

/// What must hold of a store after the calls made so far.
///
/// ```
/// use esker::crashtest::{History, Op};
/// let entry = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
/// let mut history = History::new(true);
/// history.push(&[Op::put("a", "1")], 0, true);
/// history.all_durable();
/// history.push(&[Op::put("b", "2")], 0, true);
/// history.push(&[Op::put("c", "3")], 0, false); // It failed.
/// assert_eq!((history.commit_count(), history.failed_count()), (3, 1));
/// assert_eq!(history.live(0), [entry("a", "1"), entry("b", "2")]);
/// assert_eq!(history.live_state().len(), 2);
///
/// // A power cut must leave the durable one; the death of the process, both that succeeded.
/// assert_eq!((history.after_power_cut(), history.after_kill()), (1, 2));
/// assert!(history.allowed(1, 0).contains(&vec![entry("a", "1")]));
/// assert!(history.explain(&vec![], 1, 0).is_err());
/// let state = history.explain(&vec![entry("a", "1"), entry("c", "3")], 1, 0);
/// assert!(state.is_err()); // A commit in the middle is missing.
/// ```
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What the last open showed; durable.
    base: State,
    /// The commits since.
    commits: Vec<Commit>,
    durable_count: usize,
    wal_enabled: bool,
}

impl History {
    /// Of a store that is empty. Without a log, only what was flushed survives.
    ///
    /// See the example of [`History`].
    #[must_use]
    pub fn new(wal_enabled: bool) -> Self {
        History { wal_enabled, ..History::default() }
    }

    /// A commit was called for, at this wall time, and `succeeded` or not.
    ///
    /// See the example of [`History`].
    pub fn push(&mut self, ops: &[Op], made_at_ms: u64, succeeded: bool) {
        self.commits.push(Commit { replaced_by: None, ops: ops.to_vec(), made_at_ms, succeeded });
    }

    /// A commit that makes `state` all that there is was called for, and `succeeded` or not.
    ///
    /// See the example of [`History::rebase`].
    pub fn push_restore(&mut self, state: State, succeeded: bool) {
        let replaced_by = Some(state);
        self.commits.push(Commit { replaced_by, ops: Vec::new(), made_at_ms: 0, succeeded });
    }

    /// The state of the handle that made the commits, without those that failed.
    ///
    /// See the example of [`History`].
    #[must_use]
    pub fn live_state(&self) -> State {
        let mut state = self.base.clone();
        self.commits.iter().filter(|c| c.succeeded).for_each(|c| c.apply(&mut state));
        state
    }

    /// Everything so far was acknowledged as durable.
    ///
    /// See the example of [`History`].
    pub fn all_durable(&mut self) {
        self.durable_count = self.commits.len();
    }

    /// How many commits a power cut must leave.
    ///
    /// See the example of [`History`].
    #[must_use]
    pub fn after_power_cut(&self) -> usize {
        self.durable_count
    }

    /// How many commits the death of the process must leave.
    ///
    /// See the example of [`History`].
    #[must_use]
    pub fn after_kill(&self) -> usize {
        if !self.wal_enabled {
            return self.durable_count;
        }
        self.commits.iter().rposition(|c| c.succeeded).map_or(0, |last| last + 1)
    }

    /// How many commits failed since the last open.
    ///
    /// See the example of [`History`].
    #[must_use]
    pub fn failed_count(&self) -> usize {
        self.commits.iter().filter(|c| !c.succeeded).count()
    }

    /// What a reader of the handle that made the commits must see: nothing of
    /// those that failed.
    ///
    /// See the example of [`History`].
    #[must_use]
    pub fn live(&self, now_ms: u64) -> Seen {
        visible(&self.live_state(), now_ms)
    }

    /// The state that `seen` is, among those that the contract allows.
    ///
    /// See the example of [`History`].
    ///
    /// # Errors
    /// A description, for a person, of how `seen` differs from all of them.
    pub fn explain(&self, seen: &Seen, at_least: usize, now_ms: u64) -> Result<State, String> {
        let mut candidates = vec![self.base.clone()];
        for index in 0..=self.commits.len() {
            if index >= at_least
                && let Some(state) = candidates.iter().find(|s| is_visible(s, now_ms, seen))
            {
                return Ok(state.clone());
            }
            let Some(commit) = self.commits.get(index) else { break };
            candidates = commit.after(candidates);
        }
        Err(self.complain(seen, at_least, now_ms))
    }

    /// What a reader may see after `at_least` commits or more, at `now_ms`:
    /// each state that the contract allows.
    ///
    /// See the example of [`History`].
    #[must_use]
    pub fn allowed(&self, at_least: usize, now_ms: u64) -> Vec<Seen> {
        let mut found = Vec::new();
        let mut candidates = vec![self.base.clone()];
        for index in 0..=self.commits.len() {
            if index >= at_least {
                found.extend(candidates.iter().map(|state| visible(state, now_ms)));
            }
            let Some(commit) = self.commits.get(index) else { break };
            candidates = commit.after(candidates);
        }
        found.dedup();
        found
    }

    /// The next open showed `state`: from here on it is durable.
    ///
    /// ```
    /// use esker::crashtest::{History, Op, State};
    /// let mut history = History::new(true);
    /// history.push(&[Op::put("a", "1")], 0, true);
    /// let shown: State = history.live_state(); // By an open after a crash, say.
    /// history.rebase(shown.clone());
    /// assert_eq!((history.commit_count(), history.live(0).len()), (0, 1));
    ///
    /// history.push(&[Op::delete("a")], 0, true);
    /// history.push_restore(shown, true); // And all is as it was.
    /// assert_eq!(history.live(0).len(), 1);
    /// ```
    pub fn rebase(&mut self, state: State) {
        self.base = state;
        self.commits.clear();
        self.durable_count = 0;
    }

    /// How many commits were made since the last open.
    ///
    /// See the example of [`History`].
    #[must_use]
    pub fn commit_count(&self) -> usize {
        self.commits.len()
    }

    /// How many of them came before the last that had operations: that is the
    /// last of which the log has a record.
    ///
    /// ```
    /// use esker::crashtest::{History, Op};
    /// let mut history = History::new(true);
    /// history.push(&[Op::put("a", "1")], 0, true);
    /// history.push(&[Op::put("b", "2")], 0, true);
    /// history.push(&[], 0, true); // It leaves no record in a log.
    /// assert_eq!((history.commit_count(), history.before_last_record()), (3, 1));
    /// ```
    #[must_use]
    pub fn before_last_record(&self) -> usize {
        self.commits.iter().rposition(|commit| !commit.ops.is_empty()).unwrap_or(0)
    }

    fn complain(&self, seen: &Seen, at_least: usize, now_ms: u64) -> String {
        let mut text = format!(
            "{} commits since the last open, {at_least} promised, {} failed; no allowed state is \
             what was read.",
            self.commits.len(),
            self.failed_count()
        );
        let mut state = self.base.clone();
        let mut closest = (usize::MAX, 0, String::new());
        for index in 0..=self.commits.len() {
            let (count, lines) = difference(&visible(&state, now_ms), seen);
            if count < closest.0 {
                closest = (count, index, lines);
            }
            if let Some(commit) = self.commits.get(index) {
                commit.apply(&mut state);
            }
        }
        text += &format!(
            " Closest is the state after {} commits, {} keys apart:\n{}",
            closest.1, closest.0, closest.2
        );
        text
    }
}

impl Commit {
    /// The states that may follow upon `candidates`: one that failed may be
    /// there or not.
    fn after(&self, mut candidates: Vec<State>) -> Vec<State> {
        let without = if self.succeeded { Vec::new() } else { candidates.clone() };
        candidates.iter_mut().for_each(|state| self.apply(state));
        candidates.extend(without);
        candidates.dedup();
        candidates
    }

    fn apply(&self, state: &mut State) {
        if let Some(replaced_by) = &self.replaced_by {
            state.clone_from(replaced_by);
        }
        for op in &self.ops {
            match op {
                Op::Put { key, value, ttl } => {
                    let ms = |ttl: Duration| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                    let expires_at_ms = ttl.map(|ttl| self.made_at_ms.saturating_add(ms(ttl)));
                    state.insert(key.clone(), (value.clone(), expires_at_ms));
                }
                Op::Delete { key } => {
                    state.remove(key);
                }
            }
        }
    }
}

fn alive(state: &State, now_ms: u64) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
    let is_alive = move |entry: &Entry| entry.1.is_none_or(|at| now_ms < at);
    state.iter().filter(move |(_, e)| is_alive(e)).map(|(key, (value, _))| (key, value))
}

fn is_visible(state: &State, now_ms: u64, seen: &Seen) -> bool {
    alive(state, now_ms).eq(seen.iter().map(|(key, value)| (key, value)))
}

fn visible(state: &State, now_ms: u64) -> Seen {
    alive(state, now_ms).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// How many keys differ, and the first of them.
///
/// ```
/// use esker::crashtest::{Seen, difference};
/// let expected: Seen = vec![(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())];
/// let (count, lines) = difference(&expected, &vec![(b"a".to_vec(), b"9".to_vec())]);
/// assert_eq!(count, 2); // One is wrong, and one is missing.
/// assert!(lines.contains('b'));
/// assert_eq!(difference(&expected, &expected).0, 0);
/// ```
#[must_use]
pub fn difference(expected: &Seen, seen: &Seen) -> (usize, String) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| (k, v)).collect();
    let found: BTreeMap<_, _> = seen.iter().map(|(k, v)| (k, v)).collect();
    let show = |value: Option<&&Vec<u8>>| match value {
        None => "nothing".to_owned(),
        Some(v) => format!("{} ({} B)", v[..v.len().min(12)].escape_ascii(), v.len()),
    };
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let mut count = 0;
    let mut lines = String::new();
    for key in keys {
        let (wanted, got) = (expected.get(*key), found.get(*key));
        if wanted == got {
            continue;
        }
        count += 1;
        if count <= 8 {
            let name = key.escape_ascii();
            lines += &format!("  {name}: expected {}, found {}\n", show(wanted), show(got));
        }
    }
    (count, lines)
}
