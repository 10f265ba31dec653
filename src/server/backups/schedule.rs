//! Backups by the clock, and how many of them are kept.
//!
//! INV-1: what is removed was made by this schedule, for this database: its name begins with [`SCHEDULED`], which no other
//! backup may have, and has the number of the database.
//! INV-2: it is removed only after a newer one is whole; the newest is never removed. Which is newer is told by
//! the number of the last commit, which does not step back as clocks do.

use super::name::SCHEDULED;
use crate::server::app::{App, Phase, reached};
use crate::server::calendar::stamp;
use crate::server::calls::ended;
use std::sync::Arc;
use std::time::Duration;

/// How long after one that failed the next is tried, at most.
const RETRY: Duration = Duration::from_secs(60);

/// The name of a backup by the schedule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScheduledName {
    /// The number of the last commit in it, or before it.
    pub seq: u64,
    /// When it was begun.
    pub stamp: String,
    /// The whole name.
    pub name: String,
}

impl ScheduledName {
    /// That of the next, of the database `identity`.
    #[must_use]
    pub fn new(identity: u64, seq: u64, now_ms: u64) -> Self {
        let stamp = stamp(now_ms);
        let name = format!("{SCHEDULED}{identity:016x}-{seq:017}-{stamp}.db");
        ScheduledName { seq, stamp, name }
    }

    /// `name`, if it is one of the database `identity`.
    #[must_use]
    pub fn parse(name: &str, identity: u64) -> Option<Self> {
        let rest = name.strip_prefix(&format!("{SCHEDULED}{identity:016x}-"))?;
        let (seq, stamp) = rest.strip_suffix(".db")?.split_once('-')?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (day, second) = stamp.split_once('-')?;
        if !(is_number(seq) && is_number(day) && is_number(second)) || second.len() != 6 {
            return None;
        }
        let (seq, stamp) = (seq.parse().ok()?, stamp.to_owned());
        Some(ScheduledName { seq, stamp, name: name.to_owned() })
    }
}

/// Those of `names` that are no longer to be kept, when the newest `keep` are.
#[must_use]
pub fn to_remove(mut names: Vec<ScheduledName>, keep: usize) -> Vec<ScheduledName> {
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.split_off(keep.max(1).min(names.len()))
}

/// Makes backups until the server ends.
pub async fn run(app: Arc<App>) {
    let Some(every) = app.config.backup_every else { return };
    let mut wait = first_wait(&app, every).await;
    loop {
        tokio::select! {
            () = reached(app.phase.clone(), Phase::Draining) => return,
            () = tokio::time::sleep(wait) => {}
        }
        let ours = Arc::clone(&app);
        let made =
            match app.calls.begin_long(move || ours.backups.make_scheduled(&ours.config)).await {
                Ok(call) => ended(call).await.and_then(|made| made),
                Err(failure) => Err(failure),
            };
        wait = match made {
            Ok(text) => {
                tracing::info!("{text}");
                app.events.add("backup", "info", text);
                every
            }
            Err(failure) => {
                let text = format!("the scheduled backup failed: {}", failure.message);
                tracing::error!("{text}");
                app.events.add("backup", "error", text);
                every.min(RETRY)
            }
        };
    }
}

/// How long until the first: a server that is started again and again makes its backups all the same.
async fn first_wait(app: &Arc<App>, every: Duration) -> Duration {
    let ours = Arc::clone(app);
    let age = app.calls.long(move || ours.backups.age_of_scheduled()).await;
    match age {
        Ok(Some(age)) => every.saturating_sub(age),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let name = ScheduledName::new(0xabc, 77, 1_735_689_600_000);
        assert_eq!(name.name, "scheduled-0000000000000abc-00000000000000077-20250101-000000.db");
        assert_eq!(ScheduledName::parse(&name.name, 0xabc).as_ref(), Some(&name));
        assert_eq!(ScheduledName::parse(&name.name, 0xabd), None);
        for other in [
            "scheduled-x.db",
            "konsul-20250101-000000.db",
            "scheduled-0000000000000abc-77-20250101.db",
            "scheduled-0000000000000abc-77-20250101-0000.db",
            "scheduled-0000000000000abc-7x-20250101-000000.db",
            "scheduled-0000000000000abc-77-20250101-000000.db.old",
        ] {
            assert_eq!(ScheduledName::parse(other, 0xabc), None, "{other}");
        }
    }

    #[test]
    fn the_newest_are_kept_whatever_the_clock_said() {
        let name = |seq, ms| ScheduledName::new(1, seq, ms);
        // The second was made while the clock was years ahead.
        let names = vec![name(1, 1_000), name(2, 1 << 42), name(3, 3_000), name(3, 4_000)];
        let removed: Vec<u64> = to_remove(names.clone(), 2).iter().map(|name| name.seq).collect();
        assert_eq!(removed, [2, 1]);
        assert!(to_remove(names.clone(), 4).is_empty());
        assert!(to_remove(names.clone(), usize::MAX).is_empty());
        assert_eq!(to_remove(names, 0).len(), 3, "the newest stays");
    }
}
