//! Manifests, and `CURRENT`.

use super::{Current, DIR, Edit, Identity, State, contents, fix_frames, path_of};
use crate::error::{Error, Result};
use crate::format::FileKind;
use crate::fs::sim::SimFs;
use crate::fs::{Fs, IoContext, OpenMode};
use crate::manifest::Manifest;
use crate::manifest::format::{CURRENT_MAGIC, HEADER_SIZE, encode_header, seal};
use crate::manifest::read::{current_of, recorded_in};
use std::path::Path;
use std::sync::Arc;

/// Decodes a manifest as an open does: header, every edit, and what they add up to.
///
/// See the example of [`write_manifest`].
///
/// # Errors
/// [`Error::Corruption`], [`Error::UnsupportedFormat`].
pub fn decode_manifest(bytes: &[u8], identity: Identity) -> Result<State> {
    let current = Current { database: identity.database, manifest: identity.manifest() };
    let path = path_of(FileKind::Manifest(current.manifest));
    recorded_in(bytes, &path, current).map(|recorded| recorded.state)
}

/// Decodes `CURRENT` as an open does.
///
/// See the example of [`write_current`].
///
/// # Errors
/// [`Error::Corruption`], [`Error::UnsupportedFormat`].
pub fn decode_current(bytes: &[u8]) -> Result<Current> {
    current_of(bytes, &path_of(FileKind::Current))
}

/// Writes a manifest with these edits; the first is applied to the state of a
/// new database. Returns the state after each of them too.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::fuzzing::{DatabaseId, Edit, FileId, Identity, decode_manifest, fix_manifest, write_manifest};
/// let identity = Identity { database: DatabaseId(7), file: FileId(1) };
/// let edit = |opens| Edit { opens: Some(opens), next_file: Some(9), ..Edit::default() };
/// let (mut bytes, states) = write_manifest(identity, &[edit(1), edit(2)])?;
/// assert_eq!(states.len(), 2);
/// assert_eq!(decode_manifest(&bytes, identity)?, states[1]);
///
/// bytes[16] ^= 1; // In its header.
/// assert!(decode_manifest(&bytes, identity).is_err());
/// bytes[16] ^= 1;
/// let sound = bytes.clone();
/// fix_manifest(&mut bytes, identity);
/// assert_eq!(bytes, sound); // A fixer changes nothing that holds.
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::InvalidArgument`] where an edit does not fit the state before it.
pub fn write_manifest(identity: Identity, edits: &[Edit]) -> Result<(Vec<u8>, Vec<State>)> {
    let fs = Arc::new(SimFs::new());
    let id = identity.manifest();
    let (first, rest) = edits.split_first().map_or((None, edits), |(f, rest)| (Some(f), rest));
    let mut state = State::empty();
    if let Some(edit) = first {
        state.apply(edit).map_err(Error::invalid)?;
    }
    let shared: Arc<dyn Fs> = Arc::<SimFs>::clone(&fs);
    let mut manifest = Manifest::create(shared, Path::new(DIR), identity.database, id, state, &[])?;
    let mut states = vec![manifest.state().clone()];
    for edit in rest {
        manifest.apply(edit, id)?;
        states.push(manifest.state().clone());
    }
    let path = path_of(FileKind::Manifest(id));
    let len = fs.open(&path, OpenMode::Read).and_then(|file| file.len()).during("read", &path)?;
    Ok((contents(&fs, FileKind::Manifest(id), len)?, states))
}

/// Writes the `CURRENT` that names the manifest of this identity.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::fuzzing::{Current, DatabaseId, FileId, Identity, ManifestId, decode_current, fix_current, write_current};
/// let identity = Identity { database: DatabaseId(7), file: FileId(2) };
/// let mut bytes = write_current(identity);
/// let said: Current = decode_current(&bytes)?;
/// assert_eq!(said, Current { database: DatabaseId(7), manifest: ManifestId(2) });
/// bytes[24] = 3;
/// assert!(decode_current(&bytes).is_err());
/// fix_current(&mut bytes);
/// assert_eq!(decode_current(&bytes)?.manifest, ManifestId(3));
/// # Ok(()) }
/// ```
#[must_use]
pub fn write_current(identity: Identity) -> Vec<u8> {
    encode_header(CURRENT_MAGIC, identity.database, identity.manifest()).to_vec()
}

/// Puts right the checksums of a manifest: that of its header, and those of
/// each edit.
///
/// See the example of [`write_manifest`].
pub fn fix_manifest(bytes: &mut [u8], identity: Identity) {
    fix_current(bytes);
    fix_frames(bytes, HEADER_SIZE, identity);
}

/// Puts right the checksum of `CURRENT`.
///
/// See the example of [`write_current`].
pub fn fix_current(bytes: &mut [u8]) {
    if let Some(head) = bytes.first_chunk_mut::<HEADER_SIZE>() {
        seal(head);
    }
}
