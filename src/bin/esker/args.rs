//! The list of commands.

#[cfg(feature = "server")]
use crate::commands::serve;
use crate::commands::{
    backup, batch, bench, checkpoint, compact, completions, delete, export, gc, get, import,
    inspect, list, load, man, repair, restore, scan, service, set, stats, unfollow, verify,
    verify_backup,
};
use crate::failure::Result;
use crate::place::Global;
use clap::{Parser, Subcommand};

/// A log-structured key-value store, from a shell.
#[derive(Debug, Parser)]
#[command(name = "esker", version, max_term_width = 100, after_long_help = AFTER_HELP)]
#[command(after_help = "Exit codes, escapes in keys and more: esker --help")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = r"Keys are text. In arguments and in what is printed a backslash begins an escape: \\ \n \r \t \0,
\xNN for a byte, \u{N} for a character. Values are bytes as they stand, also on standard input and
output; where a command prints values in lines, they are escaped as keys are.

Exit codes:
  0    done
  1    not found: the key or the service
  2    usage: the arguments make no sense, or there is no database where one is needed
  3    damage: a file is not what was written
  4    locked: another process has the directory open
  5    conflict: what it depends on has changed meanwhile
  6    I/O: the system refused a file operation
  7    unknown: a write failed midway and may be there, or not
  8    format: a newer version of esker wrote the file
  9    input: what was to be read in is not what it should be; nothing of it was written
  130  interrupted";

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    Get(get::Get),
    Set(set::Set),
    Delete(delete::Delete),
    List(list::List),
    Scan(scan::Scan),
    Load(load::Load),
    Batch(batch::Batch),
    #[command(subcommand)]
    Service(service::Service),
    Backup(backup::Backup),
    Restore(restore::Restore),
    VerifyBackup(verify_backup::VerifyBackup),
    Unfollow(unfollow::Unfollow),
    Checkpoint(checkpoint::Checkpoint),
    Export(export::Export),
    Import(import::Import),
    Verify(verify::Verify),
    Repair(repair::Repair),
    Compact(compact::Compact),
    Gc(gc::Gc),
    #[cfg(feature = "server")]
    Serve(Box<serve::Serve>),
    Stats(stats::Stats),
    Inspect(inspect::Inspect),
    Bench(Box<bench::Bench>),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Whatever went wrong, with the code that the process is to end with.
    pub fn run(&self, global: &Global) -> Result<()> {
        match self {
            Command::Get(get) => get.run(global),
            Command::Set(set) => set.run(global),
            Command::Delete(delete) => delete.run(global),
            Command::List(list) => list.run(global),
            Command::Scan(scan) => scan.run(global),
            Command::Load(load) => load.run(global),
            Command::Batch(batch) => batch.run(global),
            Command::Service(service) => service.run(global),
            Command::Backup(backup) => backup.run(global),
            Command::Restore(restore) => restore.run(global),
            Command::VerifyBackup(verify_backup) => verify_backup.run(global),
            Command::Unfollow(unfollow) => unfollow.run(global),
            Command::Checkpoint(checkpoint) => checkpoint.run(global),
            Command::Export(export) => export.run(global),
            Command::Import(import) => import.run(global),
            Command::Verify(verify) => verify.run(global),
            Command::Repair(repair) => repair.run(global),
            Command::Compact(compact) => compact.run(global),
            Command::Gc(gc) => gc.run(global),
            #[cfg(feature = "server")]
            Command::Serve(serve) => serve.run::<Cli>(global),
            Command::Stats(stats) => stats.run(global),
            Command::Inspect(inspect) => inspect.run(global),
            Command::Bench(bench) => bench.run(global),
            Command::Completions(completions) => completions.run::<Cli>(),
            Command::Man(man) => man.run::<Cli>(global),
        }
    }
}

#[cfg(test)]
mod tests;
