//! Bytes in memory, as a file that is read.

use super::File;
use std::io::{self, ErrorKind};

/// A file in memory, which takes no writes.
#[derive(Debug)]
pub struct BytesFile {
    bytes: Vec<u8>,
}

impl BytesFile {
    /// A file that holds `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        BytesFile { bytes }
    }
}

impl File for BytesFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.bytes.get(at..).unwrap_or_default();
        let read = rest.len().min(buf.len());
        buf.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(read)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(ErrorKind::PermissionDenied.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
}
