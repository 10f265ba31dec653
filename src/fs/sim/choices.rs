//! A power cut as a list of choices, so that every outcome can be enumerated.
//!
//! Each unsynced fragment of a write is there or lost; each file has one of the
//! lengths that it has had since its sync; each operation on names happened or
//! not. Nothing ties one choice to another, but that operations on one name
//! keep their order: a later one is lost with an earlier one.
//!
//! Zeros written where zeros would be read anyway are no choice: a log that
//! is extended by zeros has a length to choose, and nothing more.
//!
//! INV-1: the choices stand in the order of the operations that they are about.
//! INV-2: alternative 0 is what was synced, the last one is what was called for.

use super::content::Content;
use super::directory::{Assignment, DirId, DirOp, Entries, Tree};
use super::image::{self, Fragment, assemble, fragments, lengths};
use super::inode::{Change, Inode, InodeRef};
use super::random::Draw;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// What a power cut may decide, taken at one moment
/// ([`SimFs::choices`](super::SimFs::choices)).
///
/// ```
/// use esker::sim::{Choices, SimFs};
/// use esker::{Fs, OpenMode};
/// use std::{collections::BTreeSet, path::Path};
/// let fs = SimFs::new();
/// let file = fs.open(Path::new("/a"), OpenMode::CreateNew)?;
/// fs.sync_dir(Path::new("/"))?;
/// file.write_at(&[7; 8192], 0)?;
/// let choices: Choices = fs.choices(4096);
/// // Each page is there or not, and the file has its old length or the new one.
/// assert_eq!(choices.alternatives(), [2, 2, 2]);
/// assert_eq!(choices.count(), 8);
/// let every: BTreeSet<_> = choices.every().collect();
/// assert_eq!(every.len(), 8);
/// assert!(choices.corners().iter().all(|picks| every.contains(picks)));
/// assert!(every.contains(&choices.sample(1)));
/// let all = fs.crash_image_of(&choices, &[1, 1, 1]);
/// assert_eq!(all.open(Path::new("/a"), OpenMode::Read)?.len()?, 8192);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Choices {
    subjects: Arc<[Subject]>,
    alternatives: Vec<usize>,
    /// How many calls there had been.
    calls: u64,
}

/// The alternative taken in each choice.
///
/// ```
/// use esker::sim::{CrashModel, Picks, SimFs};
/// use esker::{Fs, OpenMode};
/// use std::path::Path;
/// let fs = SimFs::new();
/// fs.open(Path::new("/a"), OpenMode::CreateNew)?;
/// let choices = fs.choices(4096);
/// let [lost, kept]: [Picks; 2] = [vec![0], vec![1]]; // One choice: whether the name is there.
/// assert!(fs.crash_image_of(&choices, &lost).list(Path::new("/"))?.is_empty());
/// assert_eq!(fs.crash_image_of(&choices, &kept).list(Path::new("/"))?, ["a"]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub type Picks = Vec<usize>;

impl Choices {
    /// How many alternatives each choice has, at least two each, in the order
    /// of the operations. The first alternative is that nothing of it is
    /// there, the last that all of it is.
    ///
    /// See the example of [`Choices`].
    #[must_use]
    pub fn alternatives(&self) -> &[usize] {
        &self.alternatives
    }

    /// How many outcomes there are; `u64::MAX` when there are more. Different
    /// picks may lead to the same bytes.
    ///
    /// See the example of [`Choices`].
    #[must_use]
    pub fn count(&self) -> u64 {
        let all = self.alternatives.iter();
        all.fold(1, |count: u64, n| count.saturating_mul(*n as u64))
    }

    /// Every outcome, [`Choices::count`] of them.
    ///
    /// See the example of [`Choices`].
    pub fn every(&self) -> impl Iterator<Item = Picks> {
        let mut next = Some(self.nothing());
        std::iter::from_fn(move || {
            let picks = next.take()?;
            let mut after = picks.clone();
            for (pick, n) in after.iter_mut().zip(&self.alternatives) {
                *pick += 1;
                if *pick < *n {
                    next = Some(after);
                    break;
                }
                *pick = 0;
            }
            Some(picks)
        })
    }

    /// The outcomes that go wrong most often, a number of them linear in that
    /// of the choices: all and nothing, each alone there, each alone missing,
    /// and all up to each, or from each on.
    ///
    /// See the example of [`Choices`].
    #[must_use]
    pub fn corners(&self) -> Vec<Picks> {
        let (nothing, all) = (self.nothing(), self.all());
        let mut found = vec![nothing.clone(), all.clone()];
        for (at, n) in self.alternatives.iter().enumerate() {
            for pick in 0..*n {
                found.push(with(&all, at, pick));
                found.push(with(&nothing, at, pick));
            }
            found.push([&all[..at], &nothing[at..]].concat());
            found.push([&nothing[..at], &all[at..]].concat());
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// An outcome that `seed` decides.
    ///
    /// See the example of [`Choices`].
    #[must_use]
    pub fn sample(&self, seed: u64) -> Picks {
        let mut draw = Draw::new(seed);
        // From almost nothing to almost all, not always about half.
        let odds = 2 + draw.below(6);
        let mostly_kept = draw.one_in(2);
        let mut pick = |n: &usize| match (draw.one_in(odds), mostly_kept) {
            (true, _) => draw.below(*n),
            (false, true) => n - 1,
            (false, false) => 0,
        };
        self.alternatives.iter().map(&mut pick).collect()
    }

    fn nothing(&self) -> Picks {
        vec![0; self.alternatives.len()]
    }

    fn all(&self) -> Picks {
        self.alternatives.iter().map(|n| n - 1).collect()
    }
}

fn with(picks: &Picks, at: usize, pick: usize) -> Picks {
    let mut picks = picks.clone();
    picks[at] = pick;
    picks
}

// Not derived: the bytes of files belong in no message.
impl fmt::Debug for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choices").field("alternatives", &self.alternatives).finish_non_exhaustive()
    }
}

/// What one choice is about.
enum Subject {
    Fragment(InodeRef, Fragment),
    /// The file's length: after how many operations of its log, by alternative.
    Length(InodeRef, Vec<usize>),
    Names(DirOp),
}

/// The subjects of all choices, in order.
fn subjects(tree: &Tree, unit_bytes: usize) -> Vec<Subject> {
    let mut found: Vec<(u64, Subject)> = Vec::new();
    for inode in tree.inodes() {
        let file = inode.lock();
        let log = file.log();
        for fragment in significant(&file, unit_bytes) {
            let seq = log[fragment.op_index].seq;
            found.push((seq, Subject::Fragment(Arc::clone(&inode), fragment)));
        }
        let cuts = length_cuts(&file);
        if let Some(last) = cuts.last().and_then(|cut| cut.checked_sub(1)) {
            found.push((log[last].seq, Subject::Length(Arc::clone(&inode), cuts)));
        }
    }
    found.extend(tree.log.iter().map(|op| (op.seq, Subject::Names(op.clone()))));
    found.sort_by_key(|(seq, _)| *seq);
    found.into_iter().map(|(_, subject)| subject).collect()
}

/// The fragments that make a difference.
fn significant(file: &Inode, unit_bytes: usize) -> Vec<Fragment> {
    let mut found: Vec<Fragment> = Vec::new();
    for fragment in fragments(file.log(), unit_bytes) {
        let covered = fragment.start.min(file.base().len())..fragment.end.min(file.base().len());
        let over_zeros = file.base()[covered].iter().all(|byte| *byte == 0)
            && !found.iter().any(|f| f.start < fragment.end && fragment.start < f.end);
        if !(over_zeros && bytes(file, &fragment).iter().all(|byte| *byte == 0)) {
            found.push(fragment);
        }
    }
    found
}

fn bytes<'a>(file: &'a Inode, fragment: &Fragment) -> &'a [u8] {
    match &file.log()[fragment.op_index].change {
        Change::Write { start, bytes } => &bytes[fragment.start - start..fragment.end - start],
        Change::SetLen(_) => &[],
    }
}

/// After how many operations the file's length, or what a cut left of it, was another.
fn length_cuts(file: &Inode) -> Vec<usize> {
    let lens = lengths(file.base().len(), file.log());
    let mut cuts = vec![0];
    for (index, op) in file.log().iter().enumerate() {
        if matches!(op.change, Change::SetLen(_)) || lens[index + 1] != lens[index] {
            cuts.push(index + 1);
        }
    }
    cuts
}

/// What a power cut may decide after so many `calls`.
pub(super) fn choices(tree: &Tree, unit_bytes: usize, calls: u64) -> Choices {
    let subjects = subjects(tree, unit_bytes);
    let alternatives = |subject: &Subject| match subject {
        Subject::Fragment(..) | Subject::Names(_) => 2,
        Subject::Length(_, cuts) => cuts.len(),
    };
    let alternatives = subjects.iter().map(alternatives).collect();
    Choices { subjects: subjects.into(), alternatives, calls }
}

/// What one file is left with.
#[derive(Default)]
struct Left {
    kept: Vec<Fragment>,
    len_cut: usize,
}

/// The disk after a power cut in which `choices` were decided by `picks`.
pub(super) fn image(tree: &Tree, choices: &Choices, picks: &[usize], calls: u64) -> Tree {
    assert_eq!(choices.calls, calls, "something changed since the choices were taken");
    assert_eq!(choices.subjects.len(), picks.len(), "one pick for each choice");
    let mut names: Vec<Entries> = tree.dirs.iter().map(|d| d.base.clone()).collect();
    let mut stopped: BTreeSet<(DirId, String)> = BTreeSet::new();
    let mut files: HashMap<*const _, Left> = HashMap::new();
    for (subject, pick) in choices.subjects.iter().zip(picks) {
        match subject {
            Subject::Fragment(inode, fragment) if *pick > 0 => {
                files.entry(InodeRef::as_ptr(inode)).or_default().kept.push(*fragment);
            }
            Subject::Fragment(..) => {}
            Subject::Length(inode, cuts) => {
                files.entry(InodeRef::as_ptr(inode)).or_default().len_cut = cuts[*pick];
            }
            Subject::Names(op) => {
                let key = |set: &Assignment| (set.dir, set.name.clone());
                if *pick > 0 && !op.sets.iter().any(|set| stopped.contains(&key(set))) {
                    op.apply(&mut names, |entries| entries);
                } else {
                    stopped.extend(op.sets.iter().map(key));
                }
            }
        }
    }
    image::durable_tree(&names, |inode| content(inode, files.get(&InodeRef::as_ptr(inode))))
}

fn content(inode: &InodeRef, left: Option<&Left>) -> Content {
    let file = inode.lock();
    let Some(left) = left else { return file.base().clone() };
    let mut ground = file.base().to_vec();
    ground.resize(lengths(ground.len(), file.log()).into_iter().max().unwrap_or(0), 0);
    assemble(&file, ground, left.kept.iter().copied(), left.len_cut).into()
}

#[cfg(test)]
mod tests;
