//! Scans that tell when an entry expires, or go by another time than the clock's.

use super::{Scan, Values, to_entry, with_value};
use crate::error::Result;
use crate::format::Content;
use crate::read::value::{Key, Value};
use crate::store::Store;
use std::cell::Cell;

impl Scan {
    /// The next entry from the front, and when it expires, in milliseconds since the Unix epoch
    /// (`u64::MAX`: never): for who keeps it before it is given out.
    ///
    /// # Errors
    /// As [`Scan::next`].
    pub fn next_entry_until(&mut self) -> Option<Result<((Key, Value), u64)>> {
        self.until(|scan, is_expired| {
            scan.step_front_by(is_expired, to_entry).and_then(Option::transpose)
        })
    }

    /// The same from the back.
    ///
    /// # Errors
    /// As [`Scan::next`].
    pub fn next_entry_back_until(&mut self) -> Option<Result<((Key, Value), u64)>> {
        self.until(|scan, is_expired| {
            scan.step_back_by(is_expired, to_entry).and_then(Option::transpose)
        })
    }

    /// As [`Scan::next_entry_until`]; no value is read.
    ///
    /// # Errors
    /// As [`Scan::next`].
    pub fn next_key_until(&mut self) -> Option<Result<(Key, u64)>> {
        self.until(|scan, is_expired| scan.step_front_by(is_expired, |_, key, _| Key::copy(key)))
    }

    /// The same from the back.
    ///
    /// # Errors
    /// As [`Scan::next`].
    pub fn next_key_back_until(&mut self) -> Option<Result<(Key, u64)>> {
        self.until(|scan, is_expired| scan.step_back_by(is_expired, |_, key, _| Key::copy(key)))
    }

    /// What `step` comes to, and when that expires: it is the one that is alive among those that it asks about.
    fn until<R>(
        &mut self,
        step: impl FnOnce(&mut Self, &dyn Fn(&Store, u64) -> bool) -> Result<Option<R>>,
    ) -> Option<Result<(R, u64)>> {
        let until_ms = Cell::new(u64::MAX);
        let is_expired = |store: &Store, at_ms: u64| {
            let is_expired = store.is_expired(at_ms);
            if !is_expired {
                until_ms.set(at_ms);
            }
            is_expired
        };
        let row = self.step(|scan| step(scan, &is_expired))?;
        Some(row.map(|row| (row, until_ms.get())))
    }

    /// What `see` makes of the next entry from the front that is alive at `now_ms`, whatever the clock
    /// says: of its key, of when it expires (`None`: never), and of its value.
    ///
    /// # Errors
    /// As [`Scan::next`].
    pub fn next_as_of<R>(
        &mut self,
        now_ms: u64,
        see: impl FnOnce(&[u8], Option<u64>, &[u8]) -> R,
    ) -> Option<Result<R>> {
        self.step(|scan| {
            let seen = scan.step_as_of(now_ms, |values, key, expires_at_ms, content| {
                with_value(|key, value| see(key, expires_at_ms, value))(values, key, content)
            });
            seen.and_then(Option::transpose)
        })
    }

    /// As [`Scan::next_as_of`]; no value is read.
    ///
    /// # Errors
    /// As [`Scan::next`].
    pub fn next_key_as_of<R>(
        &mut self,
        now_ms: u64,
        see: impl FnOnce(&[u8], Option<u64>) -> R,
    ) -> Option<Result<R>> {
        self.step(|scan| {
            scan.step_as_of(now_ms, |_, key, expires_at_ms, _| see(key, expires_at_ms))
        })
    }

    fn step_as_of<R>(
        &mut self,
        now_ms: u64,
        see: impl FnOnce(Values<'_>, &[u8], Option<u64>, Content<'_>) -> R,
    ) -> Result<Option<R>> {
        // Who is asked about last, and is alive, is who is seen.
        let expires_at_ms = Cell::new(None);
        let is_expired = |store: &Store, at_ms: u64| {
            let is_expired = at_ms <= now_ms && at_ms != u64::MAX;
            if is_expired {
                store.expiry.raise(at_ms); // As for any reader, see `ExpiryFloor`.
            } else {
                expires_at_ms.set((at_ms != u64::MAX).then_some(at_ms));
            }
            is_expired
        };
        self.step_front_by(is_expired, |values, key, content| {
            see(values, key, expires_at_ms.get(), content)
        })
    }
}
