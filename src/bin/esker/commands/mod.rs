//! The commands, a file each: the arguments, and what is done.

pub mod backup;
pub mod batch;
pub mod bench;
pub mod checkpoint;
pub mod compact;
pub mod completions;
pub mod delete;
pub mod export;
pub mod gc;
pub mod get;
pub mod import;
pub mod inspect;
pub mod list;
pub mod load;
pub mod man;
pub mod repair;
pub mod restore;
pub mod scan;
#[cfg(feature = "server")]
pub mod serve;
pub mod service;
pub mod set;
pub mod stats;
pub mod unfollow;
pub mod verify;
pub mod verify_backup;

mod records;
mod value;
