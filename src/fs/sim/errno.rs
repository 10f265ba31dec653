//! The error numbers that file systems give, as Linux counts them; all but
//! `EDQUOT` are the same on every Unix.

/// Interrupted by a signal.
pub const EINTR: i32 = 4;
/// The device failed.
pub const EIO: i32 = 5;
/// Not permitted by the file's mode.
pub const EACCES: i32 = 13;
/// The process has too many files open.
pub const EMFILE: i32 = 24;
/// No space is left on the device.
pub const ENOSPC: i32 = 28;
/// The file system is read-only, or has become so after an error.
pub const EROFS: i32 = 30;
/// The file has too many names.
pub const EMLINK: i32 = 31;
/// The user's quota is used up.
pub const EDQUOT: i32 = 122;
