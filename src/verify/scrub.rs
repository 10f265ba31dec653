//! The scrub worker: verifies again and again, at a gentle pace, for damage that nobody reads.

use super::report::{VerifyOptions, VerifyReport};
use super::run::Verifier;
use crate::error::Error;
use crate::event::Event;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// Verifies the database in the background.
#[derive(Debug)]
pub struct Scrubber {
    verifier: Arc<Verifier>,
    interval: Duration,
}

impl Scrubber {
    /// Has `verifier` work `interval` after the open, and after each time that it is done.
    #[must_use]
    pub fn new(verifier: Arc<Verifier>, interval: Duration) -> Self {
        Scrubber { verifier, interval }
    }

    /// Works until told to end (`Views::stop`).
    pub fn run(&self) {
        let store = self.verifier.store();
        while !store.views.pause(self.interval) {
            let bytes_per_second = store.options.scrub_bytes_per_second;
            let mut go_on = |_| match store.views.is_stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            match self.verifier.run(VerifyOptions { bytes_per_second }, &mut go_on) {
                Ok(report) if report.is_complete => self.tell(&report),
                Ok(_) | Err(Error::Closed) => return,
                Err(error) => {
                    store.counters.scrub_failures.add(1);
                    store.emit(&Event::ScrubFailed { error });
                }
            }
        }
    }

    fn tell(&self, report: &VerifyReport) {
        let store = self.verifier.store();
        store.counters.scrubs.add(1);
        store.counters.scrub_bytes.add(report.bytes);
        store.counters.scrub_damages.add(report.damages);
        store.emit(&Event::ScrubDone {
            bytes: report.bytes,
            damages: report.damages,
            first_damage: report.first_damage(),
            duration: report.duration,
        });
    }
}
