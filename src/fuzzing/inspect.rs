//! What is told of a file, of any bytes.

use super::{DIR, DatabaseId};
use crate::error::Result;
use crate::fs::sim::SimFs;
use crate::fs::{Fs, IoContext, OpenMode, write_all_at};
use crate::inspect::{InspectOptions, Inspection, Item, inspect_with_fs};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Has [`crate::inspect::inspect`] tell `see` of `bytes`, as the file called `name` of that database.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::fuzzing::{DatabaseId, FileId, Identity, inspect_bytes, write_current};
/// use esker::inspect::FileFormat;
/// use std::ops::ControlFlow;
/// let bytes = write_current(Identity { database: DatabaseId(7), file: FileId(2) });
/// let found = inspect_bytes("CURRENT", &bytes, DatabaseId(7), &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!((found.format, found.items, found.damage), (FileFormat::Current, 1, None));
/// # Ok(()) }
/// ```
///
/// # Errors
/// As there.
pub fn inspect_bytes(
    name: &str,
    bytes: &[u8],
    database: DatabaseId,
    see: &mut dyn FnMut(&Item) -> ControlFlow<()>,
) -> Result<Inspection> {
    let (fs, path) = (SimFs::new(), Path::new(DIR).join(name));
    let file = fs.open(&path, OpenMode::CreateNew).during("create", &path)?;
    write_all_at(file.as_ref(), bytes, 0).during("write", &path)?;
    let options = InspectOptions { values: true, database_id: Some(database.0) };
    inspect_with_fs(&(Arc::new(fs) as Arc<dyn Fs>), &path, &options, see)
}
