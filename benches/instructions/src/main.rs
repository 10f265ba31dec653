//! A guard of the hot paths: counts the instructions that each takes, and fails when one takes more than its bound.
//!
//! `cargo run --release` counts all of them, `-- NAME...` those with NAME in their names, `-- --update` writes what was
//! counted into `bounds.txt` and into the page that shows it. Counts need no quiet machine: the instructions are those
//! that valgrind executes, one for one, in a process that it runs.
//!
//! Place: beside the benches, which say how fast something is; this says, in any environment, that it has become slower.
//! Not here: time, caches, branches, system calls. What they cost is for the benches to say.

mod bounds;
mod callgrind;
mod inputs;
#[path = "../../page/marked.rs"]
mod marked;
mod paths;
mod report;
mod run;
mod still_fs;

use bounds::Bounds;
use marked::replaced_between;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: instructions [--update] [--keep] [NAME...]
  NAME      the paths with NAME in their names, instead of all
  --update  write the bounds anew, instead of comparing with them
  --keep    leave what callgrind wrote, for `callgrind_annotate`";

/// The page that shows the table.
const PAGE: &str = "../../docs/performance.md";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, name] = &arguments[..]
        && first == run::COUNTED
    {
        run::counted(name);
        return ExitCode::SUCCESS;
    }
    let (flags, names): (Vec<String>, Vec<String>) =
        arguments.into_iter().partition(|argument| argument.starts_with('-'));
    if flags.iter().any(|flag| flag != "--update" && flag != "--keep") {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let has = |asked: &str| flags.iter().any(|flag| flag == asked);
    guard(has("--update"), has("--keep"), &names).unwrap_or_else(|e| {
        eprintln!("instructions: {e}");
        ExitCode::from(2)
    })
}

/// Counts, and compares or updates. [`ExitCode::FAILURE`] where a bound does not hold.
fn guard(is_update: bool, is_kept: bool, names: &[String]) -> Result<ExitCode, String> {
    let file = own_folder().join("bounds.txt");
    let bounds = Bounds::parse(&read(&file)?).map_err(|e| format!("{}: {e}", file.display()))?;
    let counted_with = tools()?;
    if is_update && !names.is_empty() && counted_with != bounds.counted_with {
        return Err(format!(
            "the other bounds were counted with {}, and this is {counted_with}: update all of them together",
            bounds.counted_with
        ));
    }
    let counts = run::count(names, is_kept)?;
    if is_update {
        let all: Vec<&str> = paths::HOT_PATHS.iter().map(|path| path.name).collect();
        let today = output_of("date", &["+%F"])?;
        let updated = bounds.updated(&all, &counts, &today, &counted_with);
        print!("{}", report::changes(&bounds, &updated));
        let page = own_folder().join(PAGE);
        let text = replaced_between(&read(&page)?, "instructions", &updated.to_markdown())
            .map_err(|e| format!("{}: {e}", page.display()))?;
        write(&file, &updated.to_text())?;
        write(&page, &text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_path = |name: &str| paths::HOT_PATHS.iter().any(|path| path.name == name);
    let (text, holds) = report::comparison(&bounds, &counts, &counted_with, is_path);
    print!("{text}");
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn own_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// What decides, beside the source, how many instructions there are.
fn tools() -> Result<String, String> {
    let rustc = output_of("rustc", &["--version"])?;
    let rustc = rustc.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let valgrind = output_of("valgrind", &["--version"])?;
    let libc = output_of("getconf", &["GNU_LIBC_VERSION"])?;
    Ok(format!("{rustc}, {valgrind}, {libc}, {}", std::env::consts::ARCH))
}

/// What a program that only tells something prints, without the end of the line.
fn output_of(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|e| format!("`{program}` cannot be run, install it: {e}"))?;
    if !output.status.success() {
        return Err(format!("`{program} {}`: {}", arguments.join(" "), output.status));
    }
    let text = String::from_utf8(output.stdout).map_err(|e| format!("`{program}`: {e}"))?;
    Ok(text.trim().to_string())
}
