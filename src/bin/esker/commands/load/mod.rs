//! `load`: entries of a folder, of a file of JSON lines or CSV, or of standard input.
//!
//! INV-1: nothing is loaded in part unless asked: the entries become one commit, however many they are, or none of them
//! comes there. They go in as an export would ([`document`]), whose import sorts in files what is more than some MiB; so memory
//! does not grow with the source.
//! INV-2: what is wrong is named by its place, a line or a file.

mod csv;
mod document;
mod folder;
mod jsonl;
mod parts;

use super::records::Bad;
use crate::failure::{Failure, Kind, Result};
use crate::interrupt;
use crate::place::{Global, KeySpace};
use crate::progress::Progress;
use crate::stream::{self, Input};
use crate::text;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Load many entries: a folder, a file of JSON lines or CSV, or standard input.
///
/// Of a folder each file becomes an entry: its name, with those of the folders above it and / between, is the key.
/// Of JSON lines each is {"key": …, "value": …}, as scan --json prints them. Of CSV the first row names the
/// columns. All entries are loaded in one commit, or none; of two with one key the later holds.
#[derive(Debug, Args)]
pub struct Load {
    /// The folder or file; - for standard input.
    source: PathBuf,
    /// What it is; without it the name tells, and standard input is JSON lines.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Put this before each key.
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    prefix: String,
    #[command(flatten)]
    columns: csv::Columns,
    /// Pass over what is no entry, each told on standard error, and load the rest.
    #[arg(long)]
    skip_bad: bool,
    /// Commit every so many entries: what was committed stays, should it fail further on.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    commit_every: Option<u64>,
    #[command(flatten)]
    space: KeySpace,
}

/// What is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An object a line.
    Jsonl,
    /// Rows, the first of which names the columns.
    Csv,
    /// A file an entry.
    Folder,
}

/// An entry of a source.
#[derive(Debug)]
pub struct Record {
    key: Vec<u8>,
    value: Vec<u8>,
}

/// What a source gives, one after the other.
type Source = Box<dyn Iterator<Item = std::result::Result<Record, Bad>>>;

/// The entries that are to be loaded: those of the source under their prefix, without those that are passed over.
struct Entries<'a> {
    global: &'a Global,
    source: Source,
    prefix: Vec<u8>,
    space: KeySpace,
    skip_bad: bool,
    loaded: u64,
    skipped: u64,
}

impl Load {
    /// Does it.
    ///
    /// # Errors
    /// The source has what is no entry; what the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        let mut entries = self.entries(global)?;
        let db = global.open_to_fill()?;
        interrupt::watch();
        match (self.commit_every, self.space.raw_keys) {
            (None, false) => document::load(&db, &mut entries)?,
            (every, _) => parts::load(&db, &mut entries, every)?,
        }
        let Entries { source, loaded, skipped, .. } = entries;
        drop(source);
        db.close()?;
        let human = match skipped {
            0 => format!("{loaded} entries loaded"),
            _ => format!("{loaded} entries loaded, {skipped} passed over"),
        };
        global.output().answer(&human, &json!({ "loaded": loaded, "skipped": skipped }))
    }

    fn entries<'a>(&self, global: &'a Global) -> Result<Entries<'a>> {
        let prefix =
            text::unescape(&self.prefix).map_err(|wrong| wrong.of("prefix", Kind::Usage))?;
        let progress = Progress::new(global, "loading");
        let source: Source = match self.format()? {
            Format::Folder => Box::new(folder::read(&self.source, progress)?),
            Format::Jsonl => {
                Box::new(jsonl::read(Input::open(&self.source, progress)?, &self.source))
            }
            Format::Csv => {
                csv::read(Input::open(&self.source, progress)?, &self.source, &self.columns)?
            }
        };
        let (space, skip_bad) = (self.space, self.skip_bad);
        Ok(Entries { global, source, prefix, space, skip_bad, loaded: 0, skipped: 0 })
    }

    fn format(&self) -> Result<Format> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        if stream::is_standard(&self.source) {
            return Ok(Format::Jsonl);
        }
        if self.source.is_dir() {
            return Ok(Format::Folder);
        }
        let extension = self.source.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Ok(Format::Csv),
            Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
            _ => {
                let path = Path::new(&self.source).display();
                Err(Failure::new(Kind::Usage, format!("the name of {path} does not tell what it is"))
                    .remedy("say --format jsonl or --format csv; a document that export wrote is for import"))
            }
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = std::result::Result<Record, Bad>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bad = match self.source.next()? {
                Ok(record) => {
                    let key = [&self.prefix[..], &record.key].concat();
                    if self.space.accepts(&key) {
                        self.loaded += 1;
                        return Some(Ok(Record { key, ..record }));
                    }
                    let what = format!("the key {} is not UTF-8", text::escape(&key));
                    Bad { place: "an entry".to_string(), what, line: None, is_final: false }
                }
                Err(bad) => bad,
            };
            if bad.is_final || !self.skip_bad {
                return Some(Err(bad));
            }
            self.global.remark(&format!("passed over {}: {}", bad.place, bad.what));
            self.skipped += 1;
        }
    }
}
