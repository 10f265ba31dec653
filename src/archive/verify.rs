//! Reading backups for nothing but to know whether they are sound.

use super::chain::Chain;
use super::format::Held;
use super::options::BackupInfo;
use super::reader::ArchiveReader;
use super::source::FileSource;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::fs::{Fs, IoContext, OpenMode};
use std::io::Read;
use std::path::Path;

/// The backup at `path`, before its first entry, and its length in bytes.
///
/// # Errors
/// [`Error::Corruption`], [`Error::UnsupportedFormat`], [`Error::Io`].
pub fn open_file(fs: &dyn Fs, path: &Path) -> Result<(ArchiveReader<FileSource>, u64)> {
    let file = fs.open(path, OpenMode::Read).during("open", path)?;
    let source = FileSource::new(file);
    let size_bytes = source.size_bytes(path)?;
    Ok((ArchiveReader::new(source, path.to_path_buf())?, size_bytes))
}

/// Reads the backup at `path` from end to end, as [`verify`] does.
///
/// # Errors
/// As [`open_file`].
pub fn verify_file(fs: &dyn Fs, path: &Path, is_deep: bool) -> Result<BackupInfo> {
    verify(open_file(fs, path)?.0, is_deep)
}

/// The backups at `paths`, each upon the one before, before their first entries; and how many bytes they have in all.
///
/// # Errors
/// As [`open_file`] and [`Chain::new`].
pub fn open_chain<P: AsRef<Path>>(
    fs: &dyn Fs,
    paths: impl IntoIterator<Item = P>,
) -> Result<(Chain<FileSource>, u64)> {
    let opened = paths.into_iter().map(|path| open_file(fs, path.as_ref()));
    let opened = opened.collect::<Result<Vec<_>>>()?;
    let bytes = opened.iter().map(|(_, bytes)| bytes).sum();
    Ok((Chain::new(opened.into_iter().map(|(reader, _)| reader).collect())?, bytes))
}

/// Reads the backups of `chain` one after the other, as [`verify`] does.
///
/// # Errors
/// As [`verify`].
pub fn verify_chain<R: Read>(chain: Chain<R>) -> Result<Vec<BackupInfo>> {
    chain.into_readers().into_iter().map(|reader| verify(reader, true)).collect()
}

/// Reads what `reader` has left. `is_deep`: values in Snappy are decompressed, too. Their checksum is that of
/// what was stored, so this tells only of what was forged.
///
/// # Errors
/// [`Error::Corruption`], [`Error::Io`].
pub fn verify<R: Read>(mut reader: ArchiveReader<R>, is_deep: bool) -> Result<BackupInfo> {
    let header = *reader.header();
    let mut raw_bytes = 0;
    let path = reader.path().to_path_buf();
    while let Some(entry) = reader.next_entry()? {
        let value_bytes = match entry.held {
            Held::Deleted => 0,
            Held::Inline(value) => value.len(),
            Held::Apart(stored) => {
                if is_deep {
                    let value = stored.value();
                    value.map_err(|detail| Error::corruption(&path, entry.offset, detail))?;
                }
                stored.value_bytes
            }
        };
        raw_bytes += to_u64(entry.key.len() + value_bytes);
    }
    let (entries, deletes) = reader.counts();
    Ok(BackupInfo {
        backup_id: header.backup.0,
        database_id: header.database.0,
        sequence_number: header.seq.0,
        base_id: header.base.map(|base| base.id.0),
        since: header.base.map(|base| base.seq.0),
        created_ms: header.created_ms,
        entries,
        deletes,
        raw_bytes,
        bytes: reader.offset(),
    })
}
