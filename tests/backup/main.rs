//! What backup, restore and checkpoint promise: a backup is one state, damage in one is told and touches nothing,
//! a restore is all of it or nothing, and who read before goes on reading the old. Increments come to what was there.

mod backups;
mod chains;
mod checkpoints;
mod damage;
mod fixture;
mod followed;
mod golden;
mod histories;
#[expect(dead_code, reason = "shared with tests that use more of it")]
#[path = "../hooked_fs/mod.rs"]
mod hooked_fs;
mod increments;
mod restores;
mod workloads;
