//! What is answered: to a person, or as JSON.

use crate::failure::{Failure, Kind, Result};
use serde_json::{Value, json};
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::Path;
use std::process::ExitCode;

/// How answers are given.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    is_json: bool,
}

impl Output {
    /// As JSON, or for a person.
    pub fn new(is_json: bool) -> Output {
        Output { is_json }
    }

    /// Whether answers are JSON.
    pub fn is_json(self) -> bool {
        self.is_json
    }

    /// One answer: `human` as lines, or `value` as a document on a line of its own.
    ///
    /// # Errors
    /// Standard output takes no more.
    pub fn answer(self, human: &str, value: &Value) -> Result<()> {
        let mut lines = self.lines();
        lines.entry(|to| to.write_all(human.as_bytes()), || value.clone())?;
        lines.finish()
    }

    /// That something was done, which a person need not be told.
    ///
    /// # Errors
    /// Standard output takes no more.
    pub fn confirm(self, value: &Value) -> Result<()> {
        if self.is_json { self.answer("", value) } else { Ok(()) }
    }

    /// Many answers, a line each.
    pub fn lines(self) -> Lines {
        Lines { is_json: self.is_json, to: BufWriter::with_capacity(1 << 16, io::stdout().lock()) }
    }

    /// `bytes` as they stand; at a terminal the prompt does not follow on the same line.
    ///
    /// # Errors
    /// Standard output takes no more.
    pub fn bytes(self, bytes: &[u8]) -> Result<()> {
        let mut out = io::stdout().lock();
        let ends_line =
            if io::stdout().is_terminal() && !bytes.ends_with(b"\n") { "\n" } else { "" };
        out.write_all(bytes)
            .and_then(|()| out.write_all(ends_line.as_bytes()))
            .and_then(|()| out.flush())
            .map_err(|e| refused(&e))
    }

    /// Something to know that is no answer, on standard error.
    pub fn remark(self, text: &str) {
        let line = match self.is_json {
            true => json!({ "remark": text }).to_string(),
            false => format!("esker: {text}"),
        };
        // Where standard error is closed nobody is to know.
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Tells of `failure`, and with what the process is to end.
    pub fn fail(self, failure: &Failure) -> ExitCode {
        if failure.kind != Kind::OutputClosed {
            let line = match self.is_json {
                true => failure.to_json().to_string(),
                false => format!("esker: {}", failure.sentence()),
            };
            // Where standard error is closed nobody is told; the exit code says it still.
            let _ = writeln!(io::stderr(), "{line}");
        }
        failure.kind.exit_code()
    }
}

/// Standard output, a line at a time.
#[derive(Debug)]
pub struct Lines {
    is_json: bool,
    to: BufWriter<StdoutLock<'static>>,
}

impl Lines {
    /// One line: what `human` writes, or the document that `value` gives.
    ///
    /// # Errors
    /// Standard output takes no more.
    pub fn entry(
        &mut self,
        human: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        value: impl FnOnce() -> Value,
    ) -> Result<()> {
        let written = match self.is_json {
            true => serde_json::to_writer(&mut self.to, &value()).map_err(io::Error::from),
            false => human(&mut self.to),
        };
        written.and_then(|()| self.to.write_all(b"\n")).map_err(|e| refused(&e))
    }

    /// Hands on what is still held.
    ///
    /// # Errors
    /// Standard output takes no more.
    pub fn finish(mut self) -> Result<()> {
        self.to.flush().map_err(|e| refused(&e))
    }
}

/// Standard output refused `error`: closed by who has read enough, or a failure.
fn refused(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Kind::OutputClosed, "standard output is closed"),
        _ => Failure::io("write to", Path::new("standard output"), error),
    }
}
