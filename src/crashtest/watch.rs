//! Says where a run was when it failed, and ends one that hangs.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// So often is looked at how far it is.
const TICK: Duration = Duration::from_secs(1);

/// Far longer than any step takes, in ticks that came to pass: a process or a machine that was stopped for minutes
/// meanwhile did not hang.
const TICKS_MAX: u64 = 60;

/// Watches the thread that holds it.
#[derive(Debug)]
pub(super) struct Watch {
    /// How many ticks ago it came where it is.
    place: Arc<Mutex<(u64, String)>>,
    _stop: Sender<()>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let place = Arc::new(Mutex::new((0, String::new())));
        let (stop, stopped) = channel();
        let watched = Arc::clone(&place);
        std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let (ticks, place) = &mut *watched.lock();
                *ticks += 1;
                if *ticks > TICKS_MAX {
                    // The hung threads cannot be unwound.
                    eprintln!("hangs for {TICKS_MAX} s: {place}");
                    std::process::abort();
                }
            }
        });
        Watch { place, _stop: stop }
    }

    /// What follows happens at this place.
    pub(super) fn at(&self, place: String) {
        *self.place.lock() = (0, place);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("failed at: {}", self.place.lock().1);
        }
    }
}
