//! Says where a run was when it failed, and ends one that hangs.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Far longer than any step takes.
const HANG: Duration = Duration::from_secs(60);

/// Watches the thread that holds it.
#[derive(Debug)]
pub(super) struct Watch {
    place: Arc<Mutex<(Instant, String)>>,
    _stop: Sender<()>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let place = Arc::new(Mutex::new((Instant::now(), String::new())));
        let (stop, stopped) = channel();
        let watched = Arc::clone(&place);
        std::thread::spawn(move || {
            let tick = Duration::from_secs(1);
            while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                let (since, place) = &*watched.lock();
                if since.elapsed() > HANG {
                    // The hung threads cannot be unwound.
                    eprintln!("hangs for {HANG:?}: {place}");
                    std::process::abort();
                }
            }
        });
        Watch { place, _stop: stop }
    }

    /// What follows happens at this place.
    pub(super) fn at(&self, place: String) {
        *self.place.lock() = (Instant::now(), place);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("failed at: {}", self.place.lock().1);
        }
    }
}
