//! What backup, restore and checkpoint promise: a backup is one state, damage in one is told and touches nothing,
//! a restore is all of it or nothing, and who read before goes on reading the old.

mod backups;
mod checkpoints;
mod damage;
mod fixture;
mod golden;
#[path = "../hooked_fs/mod.rs"]
mod hooked_fs;
mod restores;
mod workloads;
