//! `completions`: for a shell.

use crate::failure::Result;
use crate::output::Output;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

/// Print what a shell completes commands and arguments with.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Does it, for the program with the arguments `P`.
    ///
    /// # Errors
    /// Standard output takes no more.
    pub fn run<P: CommandFactory>(&self) -> Result<()> {
        let mut script = Vec::new();
        generate(self.shell, &mut P::command(), "esker", &mut script);
        Output::new(false).bytes(&script)
    }
}
