//! Memory that is given out by hand, in huge pages: the one place, with the memtable's nodes, that has `unsafe` code.
//!
//! What is spread over much memory and read here and there waits for page tables as long as for
//! the memory itself, in a virtual machine most of all; and a page of 4 KiB is a fault on its first use. So the nodes of
//! a memtable stand in one [`Region`], and the blocks of the cache in [`Slabs`] of cells.

mod prefetch;
mod region;
mod slab;
mod system;

pub use prefetch::{prefetch, prefetch_from, prefetch_value};
pub use region::Region;
pub use slab::{CELL_BYTES_MAX, Cell, Slabs};
