//! `man`: the manual.

use crate::failure::{Failure, Result};
use crate::place::Global;
use clap::{Args, CommandFactory};
use clap_mangen::Man as Page;
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// Print the page of the manual, or write those of all commands into a directory.
#[derive(Debug, Args)]
pub struct Man {
    /// Write a page for each command into this directory, which is made if need be.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Does it, for the program with the arguments `P`.
    ///
    /// # Errors
    /// A page cannot be written.
    pub fn run<P: CommandFactory>(&self, global: &Global) -> Result<()> {
        let Some(dir) = &self.dir else {
            let mut page = Vec::new();
            Page::new(P::command()).render(&mut page).expect("memory takes all");
            return global.output().bytes(&page);
        };
        let written =
            fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(P::command(), dir));
        written.map_err(|e| Failure::io("write into", dir, &e))?;
        let dir = dir.display().to_string();
        global.output().answer(&format!("the pages are in {dir}"), &json!({ "dir": dir }))
    }
}
