//! What kind of file one is: by its name, or by how it begins or ends.

use crate::archive::format as backup;
use crate::error::{Error, Result};
use crate::format::FileKind;
use crate::format::codec::to_u64;
use crate::fs::{File, IoContext, read_exact_at};
use crate::manifest::format as manifest;
use crate::{table::format as table, vlog::format as values, wal::format as log};
use serde::Serialize;
use std::path::Path;

/// The formats of files.
///
/// See the example of [`crate::inspect::inspect_with_fs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileFormat {
    /// A log file: commits.
    Log,
    /// A table: entries in order.
    Table,
    /// A value file: large values that were moved out of the log.
    Values,
    /// A manifest: which files make up the database.
    Manifest,
    /// `CURRENT`: which manifest is in force.
    Current,
    /// A backup.
    Backup,
    /// `LOCK`, whose content does not matter.
    Lock,
    /// `RESERVE`, whose content does not matter.
    Reserve,
}

/// The format of `file`, at `path`, and what its name says, where that is one of a database's.
///
/// # Errors
/// [`Error::InvalidArgument`] where it is none; [`Error::Io`].
pub(super) fn of(file: &dyn File, path: &Path) -> Result<(FileFormat, Option<FileKind>)> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(kind) = FileKind::parse(name) {
        let format = match kind {
            FileKind::Log(_) => FileFormat::Log,
            FileKind::Table(_) => FileFormat::Table,
            FileKind::Manifest(_) => FileFormat::Manifest,
            FileKind::Values(_) => FileFormat::Values,
            FileKind::Current | FileKind::CurrentTemporary => FileFormat::Current,
            FileKind::Lock => FileFormat::Lock,
            FileKind::Reserve => FileFormat::Reserve,
        };
        return Ok((format, Some(kind)));
    }
    let len = file.len().during("stat", path)?;
    let (mut first, mut last) = ([0; 8], [0; 8]);
    if len >= 8 {
        read_exact_at(file, &mut first, 0).during("read", path)?;
        read_exact_at(file, &mut last, len - to_u64(first.len())).during("read", path)?;
    }
    let by_begin = [
        (log::MAGIC, FileFormat::Log),
        (manifest::MANIFEST_MAGIC, FileFormat::Manifest),
        (manifest::CURRENT_MAGIC, FileFormat::Current),
        (backup::MAGIC, FileFormat::Backup),
    ];
    if let Some((_, format)) = by_begin.into_iter().find(|(magic, _)| *magic == first) {
        return Ok((format, None));
    }
    let path = path.display();
    Err(Error::invalid(if last == table::MAGIC || first == values::MAGIC {
        format!(
            "{path} is a table or a value file, whose number is in its name: call it as the database does"
        )
    } else {
        format!("{path} is no file of a database and no backup, by its name or by how it begins")
    }))
}
