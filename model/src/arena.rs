//! As in esker, but for the slabs.

#[path = "../../src/arena/prefetch.rs"]
mod prefetch;
#[path = "../../src/arena/region.rs"]
mod region;
#[path = "../../src/arena/system.rs"]
mod system;

pub use prefetch::{prefetch, prefetch_from, prefetch_value};
pub use region::Region;
