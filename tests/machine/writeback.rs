//! Writeback at odd moments: an operating system may write any file out at any
//! time, in any order, without being asked. By itself it does so every few
//! seconds; here some files of the database are synced every few moments, from
//! outside, so that a power cut finds later files on the disk without earlier ones.

use crate::workload::Dice;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// Syncs files of a directory until it is dropped.
pub struct Writeback {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writeback {
    pub fn start(dir: PathBuf, seed: u64) -> Writeback {
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let mut dice = Dice(seed);
                while !is_over.load(Ordering::SeqCst) {
                    sync_one(&dir, &mut dice);
                    sleep(Duration::from_micros(dice.below(4_000)));
                }
            }
        });
        Writeback { is_over, thread: Some(thread) }
    }
}

impl Drop for Writeback {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            assert!(std::thread::panicking(), "writeback panicked: {panic:?}");
        }
    }
}

/// Syncs one file. That there is no directory yet, that the file was removed,
/// or that the power is gone, is no concern of this side.
fn sync_one(dir: &Path, dice: &mut Dice) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    if paths.is_empty() {
        return;
    }
    let chosen = usize::try_from(dice.below(paths.len() as u64)).expect("small");
    if let Ok(file) = File::open(&paths[chosen]) {
        let _the_power_may_be_gone = file.sync_data();
    }
}
