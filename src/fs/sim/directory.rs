//! The directories: names as readers see them, names on stable storage, and
//! the operation log between the two.
//!
//! An operation is a set of assignments `name := file, or nothing`, taken
//! together or not at all: that is what makes a rename atomic, and what gives
//! every selection of operations a meaning.
//!
//! INV-1: the log is in ascending order of its sequence numbers.
//! INV-2: a directory's durable names change in [`Tree::sync`] alone.

use super::inode::{Inode, InodeRef};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

/// A directory, as an index into [`Tree::dirs`]. Directories are never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DirId(usize);

impl DirId {
    /// What stands at this directory's place in `all`.
    pub(super) fn of<D>(self, all: &[D]) -> &D {
        &all[self.0]
    }

    /// As [`DirId::of`], to change it.
    pub(super) fn of_mut<D>(self, all: &mut [D]) -> &mut D {
        &mut all[self.0]
    }
}

/// What a name means.
#[derive(Debug, Clone)]
pub(super) enum Node {
    File(InodeRef),
    Dir(DirId),
}

pub(super) type Entries = BTreeMap<String, Node>;

#[derive(Debug, Default, Clone)]
pub(super) struct Directory {
    pub(super) live: Entries,
    pub(super) base: Entries,
}

/// One change of names that no sync has covered yet.
#[derive(Debug, Clone)]
pub(super) struct DirOp {
    /// Its place in the order of all operations of the file system.
    pub(super) seq: u64,
    pub(super) sets: Vec<Assignment>,
}

#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub(super) dir: DirId,
    pub(super) name: String,
    pub(super) node: Option<Node>,
}

/// All directories of a file system. The first one is the root.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) dirs: Vec<Directory>,
    pub(super) log: Vec<DirOp>,
}

impl Tree {
    pub(super) const ROOT: DirId = DirId(0);

    pub(super) fn new() -> Self {
        Tree { dirs: vec![Directory::default()], log: Vec::new() }
    }

    pub(super) fn dir(&self, id: DirId) -> &Directory {
        id.of(&self.dirs)
    }

    /// What `path` means.
    pub(super) fn lookup(&self, path: &Path) -> io::Result<Node> {
        self.follow(&names(path)?)
    }

    fn follow(&self, parts: &[&str]) -> io::Result<Node> {
        let mut node = Node::Dir(Self::ROOT);
        for name in parts {
            let Node::Dir(dir) = node else { return Err(io::ErrorKind::NotADirectory.into()) };
            node = self.dir(dir).live.get(*name).cloned().ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    pub(super) fn lookup_dir(&self, path: &Path) -> io::Result<DirId> {
        match self.lookup(path)? {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The regular file at `path`; a directory there is refused as `DiskFs` refuses it.
    pub(super) fn lookup_file(&self, path: &Path) -> io::Result<InodeRef> {
        match self.lookup(path)? {
            Node::File(inode) => Ok(inode),
            Node::Dir(_) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a directory stands where a regular file belongs",
            )),
        }
    }

    pub(super) fn create_file(&mut self, path: &Path, seq: u64) -> io::Result<InodeRef> {
        let (dir, name) = self.place(path)?;
        if self.dir(dir).live.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = InodeRef::default();
        self.push(seq, vec![Assignment { dir, name, node: Some(Node::File(inode.clone())) }]);
        Ok(inode)
    }

    /// Makes the directories that are missing; `next_seq` numbers each.
    pub(super) fn create_dirs(
        &mut self,
        path: &Path,
        mut next_seq: impl FnMut() -> u64,
    ) -> io::Result<()> {
        let mut dir = Self::ROOT;
        for name in names(path)? {
            dir = match self.dir(dir).live.get(name) {
                Some(Node::Dir(id)) => *id,
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let made = DirId(self.dirs.len());
                    self.dirs.push(Directory::default());
                    let set = Assignment { dir, name: name.into(), node: Some(Node::Dir(made)) };
                    self.push(next_seq(), vec![set]);
                    made
                }
            };
        }
        Ok(())
    }

    /// Renames, and returns the file that was replaced.
    pub(super) fn rename(
        &mut self,
        from: &Path,
        to: &Path,
        seq: u64,
    ) -> io::Result<Option<InodeRef>> {
        let node = self.lookup(from)?;
        let (from_dir, from_name) = self.place(from)?;
        let (to_dir, to_name) = self.place(to)?;
        if (from_dir, &from_name) == (to_dir, &to_name) {
            return Ok(None);
        }
        let replaced = match (&node, self.dir(to_dir).live.get(&to_name)) {
            (Node::File(_), Some(Node::File(old))) => Some(old.clone()),
            (_, None) => None,
            (Node::File(_), Some(Node::Dir(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::Dir(_), Some(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Node::Dir(_), Some(Node::Dir(old))) if self.dir(*old).live.is_empty() => None,
            (Node::Dir(_), Some(Node::Dir(_))) => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
        };
        if matches!(node, Node::Dir(_)) && names(to)?.starts_with(&names(from)?) {
            return Err(io::ErrorKind::InvalidInput.into()); // Into itself.
        }
        self.push(
            seq,
            vec![
                Assignment { dir: from_dir, name: from_name, node: None },
                Assignment { dir: to_dir, name: to_name, node: Some(node) },
            ],
        );
        Ok(replaced)
    }

    /// Gives the file at `from` another name.
    pub(super) fn link(&mut self, from: &Path, to: &Path, seq: u64) -> io::Result<()> {
        let Node::File(inode) = self.lookup(from)? else {
            return Err(io::ErrorKind::PermissionDenied.into());
        };
        let (dir, name) = self.place(to)?;
        if self.dir(dir).live.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.push(seq, vec![Assignment { dir, name, node: Some(Node::File(inode)) }]);
        Ok(())
    }

    /// Removes the name of a file, and returns the file.
    pub(super) fn remove(&mut self, path: &Path, seq: u64) -> io::Result<InodeRef> {
        let Node::File(inode) = self.lookup(path)? else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        let (dir, name) = self.place(path)?;
        self.push(seq, vec![Assignment { dir, name, node: None }]);
        Ok(inode)
    }

    /// The names of `dir` are on stable storage now.
    pub(super) fn sync(&mut self, dir: DirId) {
        for op in self.take_pending(dir) {
            op.apply(&mut self.dirs, |directory| &mut directory.base);
        }
    }

    /// Takes what is pending in `dir` out of the log, in order. An operation
    /// over two directories drags along all before it in the other one: it
    /// must not overtake them.
    fn take_pending(&mut self, dir: DirId) -> Vec<DirOp> {
        let mut dirs = BTreeSet::from([dir]);
        let mut taken = Vec::new();
        let mut left = Vec::new();
        for op in self.log.drain(..).rev() {
            if op.sets.iter().any(|set| dirs.contains(&set.dir)) {
                dirs.extend(op.sets.iter().map(|set| set.dir));
                taken.push(op);
            } else {
                left.push(op);
            }
        }
        left.reverse();
        taken.reverse();
        self.log = left;
        taken
    }

    /// Every file that a name means, meant or may come to mean, each once, in
    /// an order that the history alone decides.
    pub(super) fn inodes(&self) -> Vec<InodeRef> {
        let entries = self.dirs.iter().flat_map(|d| d.live.values().chain(d.base.values()));
        let logged = self.log.iter().flat_map(|op| &op.sets).filter_map(|set| set.node.as_ref());
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for node in entries.chain(logged) {
            if let Node::File(inode) = node
                && seen.insert(InodeRef::as_ptr(inode))
            {
                found.push(inode.clone());
            }
        }
        found
    }

    /// The sequence numbers of all unsynced operations, of files too, in order.
    pub(super) fn pending(&self) -> Vec<u64> {
        let mut seqs: Vec<u64> = self.log.iter().map(|op| op.seq).collect();
        for inode in self.inodes() {
            seqs.extend(inode.lock().log().iter().map(|op| op.seq));
        }
        seqs.sort_unstable();
        seqs
    }

    /// Calls `visit` with each path below the root and what it means, in
    /// order, in the names that `view` picks.
    pub(super) fn walk(
        &self,
        view: fn(&Directory) -> &Entries,
        visit: &mut impl FnMut(&str, Option<&Inode>),
    ) {
        self.walk_from(Self::ROOT, "", view, visit);
    }

    fn walk_from(
        &self,
        dir: DirId,
        prefix: &str,
        view: fn(&Directory) -> &Entries,
        visit: &mut impl FnMut(&str, Option<&Inode>),
    ) {
        for (name, node) in view(self.dir(dir)) {
            let path = format!("{prefix}/{name}");
            match node {
                Node::File(inode) => visit(&path, Some(&inode.lock())),
                Node::Dir(child) => {
                    visit(&path, None);
                    self.walk_from(*child, &path, view, visit);
                }
            }
        }
    }

    /// The directory that `path` is in, and its name there.
    fn place(&self, path: &Path) -> io::Result<(DirId, String)> {
        let parts = names(path)?;
        let Some((name, parent)) = parts.split_last() else {
            return Err(io::ErrorKind::AlreadyExists.into()); // The root itself.
        };
        match self.follow(parent)? {
            Node::Dir(dir) => Ok((dir, (*name).into())),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn push(&mut self, seq: u64, sets: Vec<Assignment>) {
        debug_assert!(self.log.last().is_none_or(|last| last.seq < seq), "INV-1");
        let op = DirOp { seq, sets };
        op.apply(&mut self.dirs, |directory| &mut directory.live);
        self.log.push(op);
    }
}

impl DirOp {
    /// Makes the assignments in the names that `view` picks.
    pub(super) fn apply<D>(&self, dirs: &mut [D], view: fn(&mut D) -> &mut Entries) {
        for set in &self.sets {
            let entries = view(set.dir.of_mut(dirs));
            match &set.node {
                Some(node) => entries.insert(set.name.clone(), node.clone()),
                None => entries.remove(&set.name),
            };
        }
    }
}

/// The names along `path`, from the root. An absolute path and the same path
/// without its root are one: there is no working directory here.
fn names(path: &Path) -> io::Result<Vec<&str>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
            Component::ParentDir => {
                parts.pop();
            }
            Component::Normal(name) => {
                parts.push(name.to_str().ok_or(io::ErrorKind::InvalidInput)?);
            }
        }
    }
    Ok(parts)
}
