//! Memory in one piece, in huge pages where the system has them.
//!
//! Not here: what is in it. Who has a region gives out its bytes, and says why that is sound.
#![expect(unsafe_code, reason = "allocation by hand; proofs at each use")]

use super::system;
use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;

/// What a huge page has, on most machines.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// An allocation, freed when this is dropped. Its bytes are initialised.
pub struct Region {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a region owns its allocation, which any thread may free, and reads and writes nothing in it.
unsafe impl Send for Region {}

// SAFETY: through `&Region` nothing is read or written.
unsafe impl Sync for Region {}

impl Region {
    /// Whether [`Region::populate`] does anything; on Linux from 5.14 on.
    pub const CAN_POPULATE: bool = system::CAN_ADVISE;

    /// Zeros. Pages of it that were never written take no memory. Ends the program where there is none, as any
    /// allocation does.
    ///
    /// # Panics
    /// When `size_bytes` is 0, or more than any allocation can have; `align_bytes` is not a power of two.
    #[must_use]
    pub fn zeroed(size_bytes: usize, align_bytes: usize) -> Region {
        let layout = Layout::from_size_align(size_bytes, align_bytes).expect("a size in memory");
        Region::of_layout(layout).unwrap_or_else(|| handle_alloc_error(layout))
    }

    /// The same; `None` where there is no memory, or can be none.
    ///
    /// # Panics
    /// When `size_bytes` is 0.
    #[must_use]
    pub fn try_zeroed(size_bytes: usize, align_bytes: usize) -> Option<Region> {
        Region::of_layout(Layout::from_size_align(size_bytes, align_bytes).ok()?)
    }

    fn of_layout(layout: Layout) -> Option<Region> {
        assert!(layout.size() > 0, "a region of nothing");
        Some(Region { base: system::zeroed(layout)?, layout })
    }

    /// From now on a page of this part may be a huge one, of 2 MiB, all of which the first write into it takes; and what
    /// is in small pages already the system puts into huge ones when it finds time for it. No byte is changed. Where the system does not do
    /// such a thing, nothing happens.
    ///
    /// # Panics
    /// When it is not within the region.
    pub fn allow_huge_pages(&self, start: usize, size_bytes: usize) {
        // SAFETY: this advice changes nothing that the program can see.
        unsafe { system::advise(self.part(start, size_bytes), size_bytes, system::MADV_HUGEPAGE) };
    }

    /// Gives the memory of a part back to the system, which may have any bytes afterwards, and takes memory again
    /// when it is written. Where the system does not do such a thing, nothing happens.
    ///
    /// # Safety
    /// The part is within the region, and nobody else reads or writes it meanwhile.
    ///
    /// # Panics
    /// When it is not.
    pub unsafe fn forget(&self, start: usize, size_bytes: usize) {
        let memory = self.part(start, size_bytes);
        // SAFETY: by the contract nobody looks at it meanwhile. The pages of anonymous memory are zeros
        // afterwards, those of any other what they were made of: initialised bytes both.
        unsafe { system::advise(memory, size_bytes, system::MADV_DONTNEED) };
    }

    /// Has the system find memory for a part that was never written, and for what else is in its pages, so that the first write need not.
    /// No byte is changed. Where the system does not do such a thing, nothing happens.
    ///
    /// # Panics
    /// When it is not within the region.
    pub fn populate(&self, start: usize, size_bytes: usize) {
        // SAFETY: as if a byte of each page were read and written again, at once, which changes nothing that the
        // program can see.
        unsafe {
            system::advise(self.part(start, size_bytes), size_bytes, system::MADV_POPULATE_WRITE)
        };
    }

    /// Where a part starts, which is within the region.
    fn part(&self, start: usize, size_bytes: usize) -> NonNull<u8> {
        let end = start.checked_add(size_bytes).filter(|end| *end <= self.layout.size());
        assert!(end.is_some(), "{size_bytes} bytes at {start} of {}", self.layout.size());
        // SAFETY: within the allocation or at its end, as just compared.
        unsafe { self.base.add(start) }
    }

    /// Where the huge page that the byte at `offset` is in ends, if there are huge pages.
    #[must_use]
    pub fn huge_page_end(&self, offset: usize) -> usize {
        let address = self.base.as_ptr().addr().wrapping_add(offset);
        offset + (HUGE_PAGE_BYTES - address % HUGE_PAGE_BYTES)
    }

    /// Where it starts.
    #[inline]
    #[must_use]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: it is from there, with this layout. Who gave out bytes of it answers for their end.
        unsafe { system::free(self.base, self.layout) };
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("size_bytes", &self.layout.size()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_no_region() {
        // Miri ends the program where there is no memory.
        assert!(cfg!(miri) || Region::try_zeroed(usize::MAX / 4, 1).is_none());
        assert!(Region::try_zeroed(usize::MAX, 1).is_none());
        assert!(Region::try_zeroed(1, 1).is_some());
    }

    #[test]
    fn a_part_is_forgotten_and_nothing_beside_it() {
        let size = 1 << 20;
        let region = Region::zeroed(size, 1);
        let write = |byte| {
            // SAFETY: the region's bytes, which this thread has to itself.
            unsafe { region.base().write_bytes(byte, size) };
        };
        let read = || {
            // SAFETY: as in `write`; copied before anything else is written.
            unsafe { std::slice::from_raw_parts(region.base().as_ptr(), size) }.to_vec()
        };
        write(7);
        // SAFETY: within the region, which this thread has to itself.
        unsafe { region.forget(size / 4, size / 4) };
        let bytes = read();
        let of = |byte, len| vec![byte; len];
        assert!(bytes[..size / 4] == of(7, size / 4) && bytes[size / 2..] == of(7, size / 2));
        // At either end less than a page may stay.
        let inner = &bytes[3 * size / 8 - size / 16..3 * size / 8 + size / 16];
        assert!(inner == of(0, size / 8) || cfg!(any(miri, not(target_os = "linux"))));
        write(9);
        assert!(read() == of(9, size));
    }
}
