//! The error numbers that file systems give, as Linux counts them; all but
//! `EDQUOT` are the same on every Unix.

/// Interrupted by a signal.
///
/// See the example of [`EIO`].
pub const EINTR: i32 = 4;
/// The device failed.
///
/// ```
/// use esker::sim::errno::{EACCES, EDQUOT, EINTR, EIO, EMFILE, EMLINK, ENOSPC, EROFS};
/// use esker::sim::{Fault, FaultPlan, SimFs};
/// use esker::{Fs, OpenMode};
/// use std::io::ErrorKind;
/// let fs = SimFs::new();
/// let file = fs.open("/a".as_ref(), OpenMode::CreateNew)?;
/// let write = |errno| {
///     fs.fail(FaultPlan::once(1, Fault::Errno(errno)));
///     file.write_at(b"bytes", 0).unwrap_err()
/// };
/// for errno in [EACCES, EDQUOT, EIO, EMFILE, EMLINK, ENOSPC, EROFS] {
///     assert_eq!(write(errno).raw_os_error(), Some(errno));
/// }
/// assert_eq!(write(EINTR).kind(), ErrorKind::Interrupted);
/// # Ok::<(), std::io::Error>(())
/// ```
pub const EIO: i32 = 5;
/// Not permitted by the file's mode.
///
/// See the example of [`EIO`].
pub const EACCES: i32 = 13;
/// The process has too many files open.
///
/// See the example of [`EIO`].
pub const EMFILE: i32 = 24;
/// No space is left on the device.
///
/// See the example of [`EIO`].
pub const ENOSPC: i32 = 28;
/// The file system is read-only, or has become so after an error.
///
/// See the example of [`EIO`].
pub const EROFS: i32 = 30;
/// The file has too many names.
///
/// See the example of [`EIO`].
pub const EMLINK: i32 = 31;
/// The user's quota is used up.
///
/// See the example of [`EIO`].
pub const EDQUOT: i32 = 122;
