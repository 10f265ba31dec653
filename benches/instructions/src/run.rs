//! Runs the paths under the counter: a process for each, two at a time.
//!
//! Only what the counted function calls is counted (`--toggle-collect`), so loading and closing are not. The other way
//! would be to take the difference of two runs of different lengths: twice the time, and what happens once
//! in many operations falls on one side or the other.

use crate::bounds::Count;
use crate::callgrind;
use crate::paths::{HOT_PATHS, HotPath, SECTION_PATTERN};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The first argument of a process that is counted.
pub const COUNTED: &str = "--counted";

/// Where the database of such a process is. Seen from its own directory, so that all names are as long wherever that is:
/// with the whole path an open differed by 3 %.
const DATABASE: &str = "./db";

/// What the counter writes, beside it.
const OUTPUT: &str = "callgrind.out";

/// How many processes are counted at once.
const PROCESSES: usize = 2;

/// What the C library is told, so that neither the processor nor the state of the heap is counted.
///
/// - Copies, comparisons and fills are done in the plainest way that it has for any processor. Left to itself it takes what
///   the processor offers; with `rep movsb`, of which the counter counts each byte, a set of 4 KiB came to three times as many.
/// - Small pieces of memory that are freed are kept for the next one of their size, however many. Else they are
///   joined, or not, by what lies beside them: a list of a hundred keys differed by 6 % with the length of a directory's name.
///
/// What a version of the library does not know it ignores.
const TUNABLES: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,\
    -ERMS,-FSRM,-BMI2,-MOVBE,-RTM,-SSE4_2,-SSE4_1,-SSSE3:glibc.malloc.tcache_count=65535";

/// Such a process, whose directory is prepared: runs the path `name`.
pub fn counted(name: &str) {
    let path = HOT_PATHS.iter().find(|path| path.name == name).expect("a path of this program");
    (path.run)(Path::new(DATABASE));
}

/// Counts the paths with one of `names` in their names, or all; in their order. What the counter wrote stays if `is_kept`.
///
/// # Errors
/// What kept it from counting them.
pub fn count(names: &[String], is_kept: bool) -> Result<Vec<Count>, String> {
    let is_asked = |path: &&HotPath| {
        names.is_empty() || names.iter().any(|name| path.name.contains(name.as_str()))
    };
    let paths: Vec<&HotPath> = HOT_PATHS.iter().filter(is_asked).collect();
    if paths.is_empty() {
        return Err(format!("no path has {} in its name", names.join(" or ")));
    }
    let root = Folder::new(is_kept)?;
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(vec![None; paths.len()]);
    let work = || {
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(path) = paths.get(index)
        {
            let count = count_one(path, &root.path.join(path.name));
            counts.lock().expect("nobody panics with it")[index] = Some(count);
        }
    };
    std::thread::scope(|scope| (0..PROCESSES).for_each(|_| drop(scope.spawn(work))));
    let counts = counts.into_inner().expect("nobody panics with it");
    counts.into_iter().map(|count| count.expect("each was taken by a thread")).collect()
}

fn count_one(path: &HotPath, dir: &Path) -> Result<Count, String> {
    let failed = |what: String| format!("{}: {what}", path.name);
    let output = dir.join(OUTPUT);
    fs::create_dir_all(dir).map_err(|e| failed(format!("{}: {e}", dir.display())))?;
    (path.prepare)(&dir.join(DATABASE));
    let this = std::env::current_exe().map_err(|e| failed(format!("this program: {e}")))?;
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--dump-line=no"])
        .arg(format!("--toggle-collect={SECTION_PATTERN}"))
        .arg(format!("--callgrind-out-file={}", output.display()))
        .arg(this)
        .args([COUNTED, path.name])
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", TUNABLES)
        .output()
        .map_err(|e| failed(format!("`valgrind` cannot be run, install it: {e}")))?;
    if !done.status.success() {
        let told = String::from_utf8_lossy(&done.stderr);
        return Err(failed(format!("it ended with {} under valgrind:\n{told}", done.status)));
    }
    let text =
        fs::read_to_string(&output).map_err(|e| failed(format!("{}: {e}", output.display())))?;
    let instructions = callgrind::instructions(&text).map_err(failed)?;
    Ok(Count {
        name: path.name.to_string(),
        instructions: per_operation(instructions, path.operations),
        what: path.what.to_string(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn per_operation(instructions: u64, operations: u64) -> f64 {
    instructions as f64 / operations as f64
}

/// A directory for this run, which goes with it unless it is kept.
struct Folder {
    path: PathBuf,
    is_kept: bool,
}

impl Folder {
    fn new(is_kept: bool) -> Result<Folder, String> {
        let path = std::env::temp_dir().join(format!("esker-instructions-{}", std::process::id()));
        fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Folder { path, is_kept })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_kept {
            println!("Kept: {}/*/{OUTPUT}", self.path.display());
        } else if let Err(e) = fs::remove_dir_all(&self.path) {
            eprintln!("{} is left: {e}", self.path.display());
        }
    }
}
