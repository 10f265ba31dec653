//! Busy loops beside synced rows.
//!
//! A virtual machine halts a core that idles, and waking it costs more than
//! the fdatasync that is measured. A loop of the lowest priority keeps it
//! awake and gives way to whoever wants to work.

use crate::Result;
use crate::machine::lower_priority;
use std::hint::black_box;
use std::os::unix::process::parent_id;
use std::process::{Child, Command, Stdio};

/// The loops that run; they end when it is dropped.
pub struct Spinners(Vec<Child>);

impl Spinners {
    pub fn start(count: u32) -> Result<Self> {
        let mut spinners = Self(Vec::new());
        for _ in 0..count {
            let child = Command::new(std::env::current_exe()?)
                .arg("spin")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()?;
            spinners.0.push(child);
        }
        Ok(spinners)
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Either fails only if the loop has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Is one such loop, until the process that started it is gone.
pub fn spin() {
    lower_priority();
    let parent = parent_id();
    while parent_id() == parent {
        for turn in 0..50_000_000_u64 {
            black_box(turn);
        }
    }
}
