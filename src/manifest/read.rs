//! Reading the manifest back.

use super::format::{CURRENT_MAGIC, HEADER_SIZE, MANIFEST_MAGIC, decode_edit, decode_header};
use super::state::State;
use crate::error::{Error, Result};
use crate::format::codec::{to_u64, to_usize};
use crate::format::{DatabaseId, FileKind, FrameReader, ManifestId};
use crate::fs::{File, Fs, IoContext, OpenMode, read_exact_at};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `CURRENT` says.
///
/// See the example of [`crate::fuzzing::write_current`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// The database's identity.
    pub database: DatabaseId,
    /// The manifest in force.
    pub manifest: ManifestId,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What its edits add up to.
    pub state: State,
    /// The manifest, for errors.
    pub path: PathBuf,
    /// Where bytes begin that are no edit: one that was being written, or one
    /// that was in force and is damaged. What it would have replaced tells.
    pub cut_at: Option<u64>,
    /// The last of its edits says that the run which wrote it ended in order, and that all edits before were durable by then.
    pub is_closed: bool,
}

/// The file of a manifest that was read.
#[derive(Debug)]
pub struct ManifestFile {
    /// Its number.
    pub id: ManifestId,
    /// Open for reading.
    pub file: Arc<dyn File>,
    /// How many bytes of it were read, which were all.
    pub len: u64,
}

/// Reads `CURRENT` of `dir`; `None` when there is none.
///
/// # Errors
/// [`Error::Io`], [`Error::Corruption`], [`Error::UnsupportedFormat`].
pub fn read_current(fs: &dyn Fs, dir: &Path) -> Result<Option<Current>> {
    let path = dir.join(FileKind::Current.name());
    let Some((bytes, _)) = read_file(fs, &path)? else { return Ok(None) };
    current_of(&bytes, &path).map(Some)
}

/// What `bytes` say, the whole of `CURRENT` at `path`.
///
/// # Errors
/// [`Error::Corruption`], [`Error::UnsupportedFormat`].
pub fn current_of(bytes: &[u8], path: &Path) -> Result<Current> {
    let (database, manifest) = decode_header(bytes, CURRENT_MAGIC, path)?;
    if bytes.len() != HEADER_SIZE {
        let detail = format!("the file has {} bytes, expected {HEADER_SIZE}", bytes.len());
        return Err(Error::corruption(path, to_u64(HEADER_SIZE), detail));
    }
    Ok(Current { database, manifest })
}

/// Reads the manifest that `current` names, and gives its file too.
///
/// A bad frame at the very end is an edit that was being written when the
/// process or the power went: it did not happen. Anything else that is not
/// intact is damage, for an edit is durable before the next is written.
///
/// # Errors
/// [`Error::Io`], [`Error::Corruption`], [`Error::UnsupportedFormat`].
pub fn read_manifest(
    fs: &dyn Fs,
    dir: &Path,
    current: Current,
) -> Result<(Recorded, ManifestFile)> {
    let path = dir.join(FileKind::Manifest(current.manifest).name());
    let (bytes, file) = read_file(fs, &path)?
        .ok_or_else(|| Error::corruption(&path, 0, "CURRENT names this file, but it is missing"))?;
    let recorded = recorded_in(&bytes, &path, current)?;
    Ok((recorded, ManifestFile { id: current.manifest, file, len: to_u64(bytes.len()) }))
}

/// The database of the manifest `id` of `dir`, and what the manifest says of it,
/// where no `CURRENT` says which manifest is in force. `None` where it is not intact.
///
/// # Errors
/// [`Error::Io`].
pub fn read_origin(fs: &dyn Fs, dir: &Path, id: ManifestId) -> Result<Option<(DatabaseId, State)>> {
    let path = dir.join(FileKind::Manifest(id).name());
    let bytes = read_file(fs, &path)?.map(|(bytes, _)| bytes).unwrap_or_default();
    let Ok((database, manifest)) = decode_header(&bytes, MANIFEST_MAGIC, &path) else {
        return Ok(None);
    };
    let recorded = recorded_in(&bytes, &path, Current { database, manifest });
    Ok(recorded.ok().filter(|_| manifest == id).map(|recorded| (database, recorded.state)))
}

/// What the edits in `bytes` add up to, the whole of the manifest at `path`
/// that `current` names.
///
/// # Errors
/// [`Error::Corruption`], [`Error::UnsupportedFormat`].
pub fn recorded_in(bytes: &[u8], path: &Path, current: Current) -> Result<Recorded> {
    let found = decode_header(bytes, MANIFEST_MAGIC, path)?;
    if found != (current.database, current.manifest) {
        return Err(Error::corruption(path, 16, "the file belongs to another database or name"));
    }
    let mut reader =
        FrameReader::new(bytes, HEADER_SIZE, current.database, current.manifest.into());
    let mut state = State::empty();
    let (mut edits, mut is_closed) = (0_u64, false);
    for frame in reader.by_ref() {
        let edit = decode_edit(frame.body)
            .ok_or_else(|| Error::corruption(path, frame.offset, "an edit cannot be decoded"))?;
        state.apply(&edit).map_err(|what| Error::corruption(path, frame.offset, what))?;
        edits += 1;
        is_closed = edit.is_closed && frame.durable == frame.offset;
    }
    if edits == 0 {
        return Err(Error::corruption(path, reader.offset(), "the first edit is damaged"));
    }
    if let Some(claim) = reader.claims_after()
        && claim > reader.offset()
    {
        let detail = format!("an edit is damaged; a later one at offset {claim} is not");
        return Err(Error::corruption(path, reader.offset(), detail));
    }
    let cut_at = (!reader.only_zeros_follow()).then(|| reader.offset());
    let is_closed = is_closed && cut_at.is_none();
    Ok(Recorded { state, path: path.to_path_buf(), cut_at, is_closed })
}

/// All bytes of a file, and the file.
type Whole = (Vec<u8>, Arc<dyn File>);

/// The file at `path`; `None` when there is none.
fn read_file(fs: &dyn Fs, path: &Path) -> Result<Option<Whole>> {
    let file = match fs.open(path, OpenMode::Read) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.during("open", path)?,
    };
    let len = to_usize(file.len().during("read", path)?)
        .ok_or_else(|| Error::corruption(path, 0, "the file is larger than the address space"))?;
    let mut bytes = vec![0; len];
    read_exact_at(file.as_ref(), &mut bytes, 0).during("read", path)?;
    Ok(Some((bytes, file)))
}

#[cfg(test)]
mod tests {
    use super::super::format::{encode_edit, encode_header};
    use super::super::state::Edit;
    use super::*;
    use crate::format::{FramePlace, LogId, crc, put_frame};

    const CURRENT: Current = Current { database: DatabaseId(5), manifest: ManifestId(2) };

    fn manifest(log_mins: &[u64]) -> Vec<u8> {
        let mut out = encode_header(MANIFEST_MAGIC, CURRENT.database, CURRENT.manifest).to_vec();
        for (i, &n) in (1..).zip(log_mins) {
            let body = encode_edit(&Edit { log_min: Some(LogId(n)), ..Edit::default() });
            let offset = to_u64(out.len());
            let place =
                FramePlace { database: CURRENT.database, file: CURRENT.manifest.into(), offset };
            put_frame(&mut out, place, i, offset, &body, crc(&body));
        }
        out
    }

    #[test]
    fn a_cut_in_the_last_edit_undoes_it_and_any_other_damage_is_told() {
        let whole = manifest(&[1, 2, 3]);
        let two = manifest(&[1, 2]).len();
        let one = manifest(&[1]).len();
        let recorded = |bytes: &[u8]| recorded_in(bytes, Path::new("m"), CURRENT);
        let log_min = |bytes: &[u8]| recorded(bytes).map(|r| r.state.log_min.0);
        assert_eq!(recorded(&whole).expect("sound").cut_at, None);
        // Nothing was lost where the file was merely made longer.
        let longer = [&whole[..], &[0; 50]].concat();
        assert_eq!(recorded(&longer).expect("sound").cut_at, None);
        assert_eq!(recorded(&whole[..two + 1]).expect("cut").cut_at, Some(to_u64(two)));
        assert!(matches!(log_min(&whole), Ok(3)));
        for cut in two..whole.len() {
            assert!(matches!(log_min(&whole[..cut]), Ok(2)), "cut at {cut}");
        }
        for cut in 0..one {
            assert!(matches!(log_min(&whole[..cut]), Err(Error::Corruption { .. })));
        }
        for bit in 0..two * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(log_min(&bytes), Err(Error::Corruption { .. })), "bit {bit}");
        }
        for bit in two * 8..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(log_min(&bytes), Ok(2)), "bit {bit}");
        }
    }
}
