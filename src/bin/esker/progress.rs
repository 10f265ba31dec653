//! How far long work has come: a bar where standard error is a terminal, a line now and then where not.

use crate::place::Global;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Tells of one piece of work, in bytes.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    /// When the last line was written; `None`: none is wanted.
    last_line: Option<Instant>,
}

impl Progress {
    /// Of work called `what`, as a participle: "verifying".
    pub fn new(global: &Global, what: &'static str) -> Progress {
        if global.quiet || global.json {
            return Progress { what, bar: None, last_line: None };
        }
        if !io::stderr().is_terminal() {
            return Progress { what, bar: None, last_line: Some(Instant::now()) };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{msg} {bytes} {bytes_per_sec} {elapsed}");
        bar.set_style(style.expect("our own template"));
        bar.set_message(what);
        Progress { what, bar: Some(bar), last_line: None }
    }

    /// Of work that another tells of.
    pub fn silent() -> Progress {
        Progress { what: "", bar: None, last_line: None }
    }

    /// So many bytes are done, of so many, where that is known.
    pub fn set(&mut self, done: u64, total: Option<u64>) {
        if let Some(bar) = &self.bar {
            if let Some(total) = total
                && bar.length() != Some(total)
            {
                let template =
                    "{msg} [{bar:30}] {bytes} of {total_bytes} {bytes_per_sec} {eta} left";
                let style = ProgressStyle::with_template(template).expect("our own template");
                bar.set_style(style.progress_chars("=> "));
                bar.set_length(total);
            }
            bar.set_position(done);
        }
        if let Some(last) = self.last_line
            && last.elapsed() >= LINE_EVERY
        {
            self.last_line = Some(Instant::now());
            let of = total.map_or(String::new(), |total| format!(" of {}", HumanBytes(total)));
            eprintln!("esker: {}: {}{of}", self.what, HumanBytes(done));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
