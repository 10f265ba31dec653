//! `unfollow`: no increments follow any more.

use crate::failure::Result;
use crate::place::Global;
use clap::Args;
use serde_json::json;

/// Let increments follow upon none of the backups made so far.
///
/// What is deleted is kept in mind as long as increments may follow. Backups and increments that there are
/// restore as ever.
#[derive(Debug, Args)]
pub struct Unfollow {}

impl Unfollow {
    /// Does it.
    ///
    /// # Errors
    /// What the database fails with.
    #[expect(clippy::unused_self, reason = "as its siblings, which have arguments")]
    pub fn run(&self, global: &Global) -> Result<()> {
        let db = global.open_to_change()?;
        let count = db.followed_backups().len();
        db.follow_no_backups()?;
        db.close()?;
        let human = format!("{count} backups are followed no more");
        global.output().answer(&human, &json!({ "unfollowed": count }))
    }
}
