//! What the system is asked for memory, and told about it.
//!
//! On Linux memory is mapped, and not taken from the allocator: of a large piece that the program has freed that makes
//! zeros by writing them, 64 MiB in 25 ms and all at once, where the system has them page by page when they are first
//! touched. Elsewhere, and under Miri, it is the allocator's, and no advice is given.
#![expect(unsafe_code, reason = "calls of the system; proofs at each use")]

pub use of_system::{CAN_ADVISE, advise, free, zeroed};

/// Advice for [`advise`]: a page may lose its bytes, and then is zeros.
pub const MADV_DONTNEED: i32 = 4;
/// A page may be a huge one.
pub const MADV_HUGEPAGE: i32 = 14;
/// A page is to have memory, as if it had been written.
pub const MADV_POPULATE_WRITE: i32 = 23;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod of_system {
    use std::alloc::Layout;
    use std::ffi::{c_int, c_void};
    use std::ptr::{self, NonNull};

    /// Whether [`advise`] does anything.
    pub const CAN_ADVISE: bool = true;

    /// Memory is mapped at a multiple of it, the least size of a page here.
    const ALIGN_MAX: usize = 4096;
    /// A multiple of every page size that Linux has here.
    const PAGE_BYTES: usize = 65_536;

    const PROT_READ_WRITE: c_int = 3;
    const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;

    // SAFETY: the prototypes of mmap(2), munmap(2) and madvise(2) in the C library that std links, on systems of 64 bits.
    unsafe extern "C" {
        fn mmap(
            address: *mut c_void,
            size_bytes: usize,
            protection: c_int,
            flags: c_int,
            file: c_int,
            offset: i64,
        ) -> *mut c_void;
        fn munmap(address: *mut c_void, size_bytes: usize) -> c_int;
        fn madvise(address: *mut c_void, size_bytes: usize, advice: c_int) -> c_int;
    }

    /// Zeros, of which what was never written takes no memory. `None`: there is no memory, or can be none.
    ///
    /// # Panics
    /// When a page is aligned for less than `layout` asks for.
    pub fn zeroed(layout: Layout) -> Option<NonNull<u8>> {
        assert!(layout.align() <= ALIGN_MAX, "aligned at {}", layout.align());
        // SAFETY: a new mapping, of no file, at an address that the system chooses: it touches nothing that there is.
        let base = unsafe {
            mmap(ptr::null_mut(), layout.size(), PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0)
        };
        // A failure is the last address of all.
        NonNull::new(base.cast::<u8>()).filter(|base| base.as_ptr().addr() != usize::MAX)
    }

    /// Gives back what [`zeroed`] gave.
    ///
    /// # Safety
    /// It is that, with that layout, and nobody uses it any more.
    pub unsafe fn free(base: NonNull<u8>, layout: Layout) {
        // SAFETY: by the contract these are pages of one mapping that nobody uses. (Where it fails, since to the system
        // neighbours are one mapping and it has no memory to note that this is cut in two, they stay, unused.)
        unsafe { munmap(base.as_ptr().cast(), layout.size()) };
    }

    /// Advises the system on the whole pages of these bytes. The answer does not matter.
    ///
    /// # Safety
    /// They are of one mapping, and what the advice does to their bytes is of no concern to anybody.
    pub unsafe fn advise(memory: NonNull<u8>, size_bytes: usize, advice: i32) {
        let skipped = memory.as_ptr().align_offset(PAGE_BYTES);
        let size_bytes = size_bytes.saturating_sub(skipped) / PAGE_BYTES * PAGE_BYTES;
        if size_bytes > 0 {
            // SAFETY: the pages are whole and all of these bytes, as just counted; the rest is the contract.
            unsafe { madvise(memory.as_ptr().wrapping_add(skipped).cast(), size_bytes, advice) };
        }
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
)))]
mod of_system {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    /// Whether [`advise`] does anything.
    pub const CAN_ADVISE: bool = false;

    /// Zeros. `None`: there is no memory.
    ///
    /// # Panics
    /// When their size is 0.
    pub fn zeroed(layout: Layout) -> Option<NonNull<u8>> {
        assert!(layout.size() > 0, "an allocation of nothing");
        // SAFETY: the layout's size is not 0.
        NonNull::new(unsafe { alloc_zeroed(layout) })
    }

    /// Gives back what [`zeroed`] gave.
    ///
    /// # Safety
    /// It is that, with that layout, and nobody uses it any more.
    pub unsafe fn free(base: NonNull<u8>, layout: Layout) {
        // SAFETY: the contract is the same.
        unsafe { dealloc(base.as_ptr(), layout) };
    }

    /// No such system.
    ///
    /// # Safety
    /// None is needed.
    pub unsafe fn advise(_memory: NonNull<u8>, _size_bytes: usize, _advice: i32) {}
}
