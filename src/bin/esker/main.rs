//! `esker`, the command line: a database directory, from a shell.
//!
//! Place on the data's path: above the library, of which it sees what every other program sees. Each
//! command stands in a file of `commands` with its arguments and what it does; `args` is the list of them.
//!
//! INV-1: a command that only reads opens for reading only, and none makes a database but those that fill one.
//! INV-2: what a command answers goes to standard output and nothing else does: errors, progress and
//! remarks go to standard error.
//! INV-3: every end has one of the codes of `failure::Kind`, on which scripts can rely.
//!
//! Not here: anything about the bytes of a database. Its files are the library's affair.

mod args;
mod bench;
mod commands;
mod duration;
mod failure;
mod holder;
mod interrupt;
mod output;
mod place;
mod progress;
mod size;
mod stream;
mod text;

use args::Cli;
use clap::Parser;
use clap::error::ErrorKind;
use failure::{Failure, Kind};
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => return refuse(&refused),
    };
    match cli.command.run(&cli.global) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => cli.global.output().fail(&failure),
    }
}

/// Says what is wrong with the arguments; or, asked for it, gives help, which is no failure.
fn refuse(refused: &clap::Error) -> ExitCode {
    let is_help = matches!(refused.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !is_help && std::env::args_os().any(|argument| argument == "--json") {
        let text = refused.render().to_string();
        let text = text.trim_start_matches("error: ").lines().next().unwrap_or_default();
        return Output::new(true).fail(&Failure::new(Kind::Usage, text).remedy("see --help"));
    }
    // What cannot be printed has nobody who could read of it.
    let _ = refused.print();
    if is_help { ExitCode::SUCCESS } else { Kind::Usage.exit_code() }
}
