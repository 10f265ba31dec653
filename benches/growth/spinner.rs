//! A busy loop beside synced sets.
//!
//! A virtual machine halts a core that idles, and waking it takes longer than many a sync. A loop of the lowest
//! priority keeps it awake and gives way to whoever wants to work.

use std::hint::black_box;
use std::io::Read;
use std::process::{Child, Command, Stdio};

/// The loop, in a process of its own; it ends when this is dropped, or this process does.
pub struct Spinner(Child);

impl Spinner {
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("a program");
        let child = Command::new(program).arg("--spin").stdin(Stdio::piped()).spawn();
        Spinner(child.expect("a process"))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        // Fails only where it has ended already, which nothing but the end of its input makes it do.
        self.0.kill().expect("it runs");
        self.0.wait().expect("its end");
    }
}

/// Is that loop, until standard input closes: whoever started it is gone then.
pub fn spin() {
    #[cfg(target_os = "linux")]
    rustix::process::nice(19).expect("the lowest priority");
    std::thread::spawn(|| {
        let read = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(i32::from(read.is_err()));
    });
    loop {
        for turn in 0..1_000_000_000_u64 {
            black_box(turn);
        }
    }
}
