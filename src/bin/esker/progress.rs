//! How far long work has come, in bytes or in pieces: a bar where standard error is a terminal, a line now and then where not.

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

/// Tells of work that is many pieces, one after the other.
#[derive(Debug)]
pub struct Steps {
    total: usize,
    done: usize,
    bar: Option<ProgressBar>,
    /// When the last line was written; `None`: none is wanted.
    last_line: Option<Instant>,
}

impl Steps {
    /// Of so many pieces.
    pub fn new(global: &Global, total: usize) -> Steps {
        let mut steps = Steps { total, done: 0, bar: None, last_line: None };
        if global.quiet || global.json {
            return steps;
        }
        if !io::stderr().is_terminal() {
            steps.last_line = Some(Instant::now());
            return steps;
        }
        let length = u64::try_from(total).ok();
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
        let template = "[{bar:30}] {pos} of {len} {elapsed}, {eta} left: {msg}";
        let style = ProgressStyle::with_template(template).expect("our own template");
        bar.set_style(style.progress_chars("=> "));
        steps.bar = Some(bar);
        steps
    }

    /// The piece called `what` begins.
    pub fn begin(&mut self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_string());
        }
        if let Some(last) = self.last_line
            && last.elapsed() >= LINE_EVERY
        {
            self.last_line = Some(Instant::now());
            eprintln!("esker: {} of {}: {what}", self.done, self.total);
        }
    }

    /// It goes on.
    pub fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    /// It is done.
    pub fn end(&mut self) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Something to know, beside the bar.
    pub fn say(&self, global: &Global, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| global.remark(text)),
            None => global.remark(text),
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
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
