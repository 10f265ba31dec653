//! As in esker, but for the slabs.

#[path = "../../src/arena/region.rs"]
mod region;

pub use region::Region;
