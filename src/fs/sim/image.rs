//! What the disk holds after a power cut: how each model picks from the
//! operations that no sync has covered.
//!
//! INV-1: what was synced is in every image: each begins with the durable
//! names and the durable bytes.
//! INV-2: an image depends on the history and the model alone.

use super::content::Content;
use super::directory::{DirId, DirOp, Directory, Entries, Node, Tree};
use super::inode::{Change, FileOp, Inode, InodeRef};
use super::model::CrashModel;
use super::random::Draw;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

/// A model, as the choices that it makes.
struct Picker {
    how: How,
    draw: Draw,
}

#[derive(Clone, Copy)]
enum How {
    /// Every operation up to this one.
    UpTo(u64),
    Units {
        unit_bytes: usize,
        lengths_final: bool,
        stale: bool,
        scattered: bool,
    },
}

impl Picker {
    fn new(model: CrashModel, pending: &[u64]) -> Self {
        let units = |unit_bytes, lengths_final, stale, scattered| How::Units {
            unit_bytes,
            lengths_final,
            stale,
            scattered,
        };
        let (how, seed) = match model {
            CrashModel::SyncedOnly => (How::UpTo(0), 0),
            CrashModel::Everything => (How::UpTo(u64::MAX), 0),
            CrashModel::Prefix(0) => (How::UpTo(0), 0),
            CrashModel::Prefix(count) => {
                let index = usize::try_from(count - 1).unwrap_or(usize::MAX);
                (How::UpTo(pending.get(index).copied().unwrap_or(u64::MAX)), 0)
            }
            CrashModel::Subset { seed } => (units(PAGE_BYTES, false, false, false), seed),
            CrashModel::Torn { seed } => (units(SECTOR_BYTES, false, false, false), seed),
            CrashModel::ZeroFill { seed } => (units(PAGE_BYTES, true, false, false), seed),
            CrashModel::Stale { seed } => (units(PAGE_BYTES, true, true, false), seed),
            CrashModel::Scattered { seed } => (units(SECTOR_BYTES, false, false, true), seed),
        };
        Picker { how, draw: Draw::new(seed) }
    }

    /// The names of every directory.
    fn names(&mut self, tree: &Tree) -> Vec<Entries> {
        let mut names: Vec<Entries> = tree.dirs.iter().map(|d| d.base.clone()).collect();
        let mut gate = match self.how {
            How::UpTo(limit) => Gate::UpTo(limit),
            How::Units { scattered: true, .. } => Gate::Scattered(BTreeSet::new()),
            How::Units { .. } => Gate::Prefixes(self.dir_cuts(tree)),
        };
        for op in &tree.log {
            if gate.passes(op, &mut self.draw) {
                op.apply(&mut names, |entries| entries);
            }
        }
        names
    }

    /// How many pending operations of each directory are there.
    fn dir_cuts(&mut self, tree: &Tree) -> BTreeMap<DirId, usize> {
        let mut counts = BTreeMap::new();
        for op in &tree.log {
            let dirs: BTreeSet<DirId> = op.sets.iter().map(|set| set.dir).collect();
            for dir in dirs {
                *counts.entry(dir).or_insert(0) += 1;
            }
        }
        counts.into_iter().map(|(dir, count)| (dir, self.draw.cut(count))).collect()
    }

    /// The bytes of a file.
    fn content(&mut self, inode: &Inode, donors: &[Content]) -> Content {
        if inode.log().is_empty() {
            return inode.base().clone();
        }
        match self.how {
            How::UpTo(limit) => {
                let mut content = inode.base().to_vec();
                for op in inode.log().iter().take_while(|op| op.seq <= limit) {
                    op.change.apply(&mut content);
                }
                content.into()
            }
            How::Units { .. } => self.picked(inode, donors).into(),
        }
    }

    fn picked(&mut self, inode: &Inode, donors: &[Content]) -> Vec<u8> {
        let How::Units { unit_bytes, lengths_final, stale, scattered } = self.how else {
            return inode.base().to_vec();
        };
        let log = inode.log();
        let len_cut = if lengths_final { log.len() } else { self.draw.cut(log.len()) };
        let fragments = if scattered {
            let odds = 2 + self.draw.below(4);
            fragments(log, unit_bytes).into_iter().map(|f| (f, !self.draw.one_in(odds))).collect()
        } else {
            self.pick_moments(fragments(log, unit_bytes))
        };
        let mut ground = inode.base().to_vec();
        let durable_len = ground.len();
        ground.resize(lengths(durable_len, log).into_iter().max().unwrap_or(0), 0);
        if stale {
            for (lost, _) in fragments.iter().filter(|(_, kept)| !kept) {
                let start = lost.start.max(durable_len).min(lost.end);
                self.dig_up(&mut ground[start..lost.end], start, donors);
            }
        }
        let kept = fragments.into_iter().filter(|(_, kept)| *kept).map(|(f, _)| f);
        assemble(inode, ground, kept, len_cut)
    }

    /// For each unit a moment: the fragments before it are kept.
    fn pick_moments(&mut self, fragments: Vec<Fragment>) -> Vec<(Fragment, bool)> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for fragment in &fragments {
            *counts.entry(fragment.unit).or_default() += 1;
        }
        // Some files lose nothing, some all, most some: else no image of a
        // long file would ever have but one page missing.
        let temper = self.draw.below(5);
        for count in counts.values_mut() {
            *count = match temper {
                0 => 0,
                1 if !self.draw.one_in(6) => *count,
                2 if !self.draw.one_in(6) => 0,
                _ => self.draw.cut(*count),
            };
        }
        let mut keep = |unit: usize| {
            let left = counts.entry(unit).or_default();
            let is_kept = *left > 0;
            *left = left.saturating_sub(1);
            is_kept
        };
        fragments.into_iter().map(|f| (f, keep(f.unit))).collect()
    }

    /// What the disk held at this place before.
    fn dig_up(&mut self, place: &mut [u8], start: usize, donors: &[Content]) {
        let donor = donors.get(self.draw.below(donors.len()));
        match (self.draw.below(4), donor) {
            (0, _) => place.fill(0),
            (1, Some(donor)) => {
                let at = self.draw.below(donor.len());
                overlay(place, donor.get(at..).unwrap_or_default());
            }
            (2, Some(donor)) => overlay(place, donor.get(start..).unwrap_or_default()),
            _ => self.draw.fill(place),
        }
    }
}

/// Which directory operations an image has.
enum Gate {
    UpTo(u64),
    /// Of each directory so many more.
    Prefixes(BTreeMap<DirId, usize>),
    /// Any, unless an operation on one of these names is missing already.
    Scattered(BTreeSet<(DirId, String)>),
}

impl Gate {
    fn passes(&mut self, op: &DirOp, draw: &mut Draw) -> bool {
        match self {
            Gate::UpTo(limit) => op.seq <= *limit,
            Gate::Prefixes(left) => {
                let dirs: BTreeSet<DirId> = op.sets.iter().map(|set| set.dir).collect();
                let passes = dirs.iter().all(|dir| left.get(dir).is_some_and(|n| *n > 0));
                for dir in dirs {
                    let n = left.entry(dir).or_default();
                    // Over two directories: missing in one, missing in both,
                    // and with it all that comes after.
                    *n = if passes { *n - 1 } else { 0 };
                }
                passes
            }
            Gate::Scattered(stopped) => {
                let key = |set: &super::directory::Assignment| (set.dir, set.name.clone());
                let is_stopped = op.sets.iter().any(|set| stopped.contains(&key(set)));
                let passes = !is_stopped && !draw.one_in(2);
                if !passes {
                    stopped.extend(op.sets.iter().map(key));
                }
                passes
            }
        }
    }
}

/// The part of one write that falls into one unit.
#[derive(Clone, Copy)]
pub(super) struct Fragment {
    pub(super) op_index: usize,
    unit: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A file's bytes: on `ground` (the durable bytes, and what lies beyond them)
/// the fragments that were `kept`, in the order of the log, and the length
/// that it had after the first `len_cut` operations.
pub(super) fn assemble(
    inode: &Inode,
    ground: Vec<u8>,
    kept: impl Iterator<Item = Fragment>,
    len_cut: usize,
) -> Vec<u8> {
    let mut content = ground;
    let mut kept = kept.peekable();
    for (index, op) in inode.log().iter().enumerate() {
        match &op.change {
            // A change of length is in the journal, with all before it.
            Change::SetLen(len) if index < len_cut => content[*len..].fill(0),
            Change::SetLen(_) => {}
            Change::Write { start, bytes } => {
                while let Some(f) = kept.next_if(|f| f.op_index == index) {
                    let from = f.start - start..f.end - start;
                    content[f.start..f.end].copy_from_slice(&bytes[from]);
                }
            }
        }
    }
    content.truncate(lengths(inode.base().len(), inode.log())[len_cut]);
    content
}

pub(super) fn fragments(log: &[FileOp], unit_bytes: usize) -> Vec<Fragment> {
    let mut found = Vec::new();
    for (op_index, op) in log.iter().enumerate() {
        let Change::Write { start, bytes } = &op.change else { continue };
        let (mut at, end) = (*start, start + bytes.len());
        while at < end {
            let unit = at / unit_bytes;
            let stop = end.min((unit + 1) * unit_bytes);
            found.push(Fragment { op_index, unit, start: at, end: stop });
            at = stop;
        }
    }
    found
}

/// The file's length before the first operation, and after each.
pub(super) fn lengths(base_len: usize, log: &[FileOp]) -> Vec<usize> {
    let mut len = base_len;
    let mut lens = vec![len];
    for op in log {
        len = match &op.change {
            Change::Write { start, bytes } => len.max(start + bytes.len()),
            Change::SetLen(len) => *len,
        };
        lens.push(len);
    }
    lens
}

fn overlay(place: &mut [u8], bytes: &[u8]) {
    let count = place.len().min(bytes.len());
    place[..count].copy_from_slice(&bytes[..count]);
}

/// The disk after a power cut: everything on it is durable.
pub(super) fn after_power_cut(tree: &Tree, graves: &[Content], model: CrashModel) -> Tree {
    let mut picker = Picker::new(model, &tree.pending());
    let mut donors = graves.to_vec();
    donors.extend(tree.inodes().iter().map(|inode| inode.lock().live().clone()));
    donors.retain(|donor| !donor.is_empty());
    let names = picker.names(tree);
    durable_tree(&names, |inode| picker.content(&inode.lock(), &donors))
}

/// A tree with these names, each file's bytes given by `content`, all durable.
pub(super) fn durable_tree(
    names: &[Entries],
    mut content: impl FnMut(&InodeRef) -> Content,
) -> Tree {
    let mut image = Tree::new();
    image.dirs = names.iter().map(|_| Directory::default()).collect();
    let mut copies: HashMap<*const _, InodeRef> = HashMap::new();
    let mut copy_file = |inode: &InodeRef| {
        let copied = copies.entry(InodeRef::as_ptr(inode));
        copied.or_insert_with(|| new_ref(Inode::durable(content(inode)))).clone()
    };
    // From the root down only: what no name leads to is gone.
    let mut open = vec![Tree::ROOT];
    while let Some(dir) = open.pop() {
        let mut entries = Entries::new();
        for (name, node) in dir.of(names) {
            let node = match node {
                Node::File(inode) => Node::File(copy_file(inode)),
                Node::Dir(child) => {
                    open.push(*child);
                    Node::Dir(*child)
                }
            };
            entries.insert(name.clone(), node);
        }
        *dir.of_mut(&mut image.dirs) = Directory { live: entries.clone(), base: entries };
    }
    image
}

/// What the files of `before` held that `after`, an image of it, has no name
/// for: their blocks are free to be handed out again.
pub(super) fn lost_files(before: &Tree, after: &Tree) -> Vec<Content> {
    let mut kept = BTreeSet::new();
    after.walk(|directory| &directory.live, &mut |path, inode| {
        if inode.is_some() {
            kept.insert(path.to_owned());
        }
    });
    let mut lost = Vec::new();
    before.walk(|directory| &directory.live, &mut |path, inode| {
        lost.extend(inode.filter(|_| !kept.contains(path)).map(|inode| inode.live().clone()));
    });
    lost
}

/// The file system after the death of a process: the same in all, unlocked.
pub(super) fn after_kill(tree: &Tree) -> Tree {
    let mut copies: HashMap<*const _, InodeRef> = HashMap::new();
    for inode in tree.inodes() {
        let mut copy = inode.lock().clone();
        copy.is_locked = false;
        copies.insert(InodeRef::as_ptr(&inode), new_ref(copy));
    }
    let copied = |node: &Node| match node {
        Node::File(inode) => Node::File(copies[&InodeRef::as_ptr(inode)].clone()),
        Node::Dir(dir) => Node::Dir(*dir),
    };
    let entries = |from: &Entries| from.iter().map(|(n, e)| (n.clone(), copied(e))).collect();
    let mut log = tree.log.clone();
    for set in log.iter_mut().flat_map(|op| &mut op.sets) {
        set.node = set.node.as_ref().map(copied);
    }
    let dirs = tree.dirs.iter();
    let dirs = dirs.map(|d| Directory { live: entries(&d.live), base: entries(&d.base) }).collect();
    Tree { dirs, log }
}

fn new_ref(inode: Inode) -> InodeRef {
    InodeRef::new(parking_lot::Mutex::new(inode))
}
