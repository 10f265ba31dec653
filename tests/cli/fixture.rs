//! A directory in which esker is run.

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A directory of a test's own, with the database in `data`.
pub struct Shell {
    dir: TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let stderr = String::from_utf8(output.stderr).expect("errors are text");
        Ran { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

impl Shell {
    pub fn new() -> Shell {
        Shell { dir: tempfile::tempdir().expect("a directory") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it is in the directory")).expect("made");
        std::fs::write(path, content).expect("written");
    }

    /// A run that has not begun.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
        command.current_dir(self.dir.path()).env_remove("ESKER_DATA_DIR").args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).stdin(Stdio::null()).output().expect("it runs").into()
    }

    pub fn feed(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("piped");
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // One that refuses its input closes it.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().expect("it ends")
        });
        output.into()
    }
}

impl Ran {
    /// What it printed, where it went well and had nothing to remark.
    #[track_caller]
    pub fn bytes(self) -> Vec<u8> {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self.stdout
    }

    #[track_caller]
    pub fn text(self) -> String {
        String::from_utf8(self.bytes()).expect("text")
    }

    /// The one document that it printed.
    #[track_caller]
    pub fn json(self) -> Value {
        let documents = self.documents();
        assert_eq!(documents.len(), 1, "{documents:?}");
        documents.into_iter().next().expect("one")
    }

    /// The documents that it printed, a line each.
    #[track_caller]
    pub fn documents(self) -> Vec<Value> {
        documents(&self.text())
    }

    /// The sentence of a failure with this code, which is on standard error alone.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
        self.sentence()
    }

    /// What it says of its failure, in one line.
    #[track_caller]
    pub fn sentence(&self) -> String {
        let line = self.stderr.strip_prefix("esker: ").unwrap_or_else(|| panic!("{self:?}"));
        let line = line.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "{line}");
        line.to_string()
    }

    /// The failure as JSON, with this code.
    #[track_caller]
    pub fn fails_as_json(self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        let document: Value = serde_json::from_str(&self.stderr).expect("JSON on standard error");
        assert_eq!(document["error"]["exit_code"], code);
        document["error"].clone()
    }
}

#[track_caller]
pub fn documents(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect()
}

/// The names in a directory, in order.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

/// Flips a bit of each byte in a range of a file.
pub fn flip(path: &Path, range: std::ops::Range<usize>) {
    let mut bytes = std::fs::read(path).expect("a file");
    bytes[range].iter_mut().for_each(|byte| *byte ^= 0x10);
    std::fs::write(path, bytes).expect("written");
}
