//! esker's `memtable`, without the cursor.

#[path = "../../src/memtable/arena.rs"]
pub mod arena;
#[path = "../../src/memtable/skiplist.rs"]
pub mod skiplist;
#[path = "../../src/memtable/space.rs"]
pub mod space;
#[path = "sync.rs"]
pub mod sync;
