//! The planted bugs: each patch of this folder breaks the engine in one place,
//! and names the test that must notice. `tests/planted/run` applies them one by
//! one to a copy of the source and shows that the test fails; a bug that
//! survives is a hole in the tests.
//!
//! That takes ten minutes and more. The tests here take no time, and see
//! to it that the patches do not rot: each still fits the source, in exactly one
//! place, and names a test that exists.
//!
//! A patch is a header (what is broken and why that matters; the line
//! `Killed by: cargo test ...`), and a unified diff of one file of `src/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many bugs are planted at least.
const PATCHES_MIN: usize = 120;

/// A header says in this many bytes at least what is broken.
const REASON_BYTES_MIN: usize = 40;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A planted bug.
#[derive(Debug, Default)]
struct Patch {
    /// Its file's name without `.patch`.
    name: String,
    /// What is broken.
    reason: String,
    /// What stands after `Killed by: `.
    killer: Option<String>,
    /// The files that it changes.
    files: Vec<String>,
    /// Of each hunk the lines before and after.
    hunks: Vec<(String, String)>,
}

impl Patch {
    fn parse(name: &str, text: &str) -> Result<Patch, String> {
        let mut patch = Patch { name: name.to_string(), ..Patch::default() };
        let (header, diff) =
            text.split_once("\n--- a/").ok_or("there is no diff that begins with `--- a/`")?;
        for line in header.lines() {
            match line.strip_prefix("Killed by: ") {
                Some(killer) => patch.killer = Some(killer.to_string()),
                None => patch.reason.push_str(line),
            }
        }
        for line in diff.lines().skip(1) {
            if let Some(file) = line.strip_prefix("+++ b/") {
                patch.files.push(file.to_string());
            } else if line.starts_with("@@") {
                patch.hunks.push(Default::default());
            } else {
                patch.add_line(line)?;
            }
        }
        Ok(patch)
    }

    fn add_line(&mut self, line: &str) -> Result<(), String> {
        let (before, after) = self.hunks.last_mut().ok_or("a line before the first hunk")?;
        let (sign, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
        let rest = format!("{rest}\n");
        if matches!(sign, " " | "-") {
            before.push_str(&rest);
        }
        if matches!(sign, " " | "+") {
            after.push_str(&rest);
        }
        if matches!(sign, " " | "-" | "+") { Ok(()) } else { Err(format!("the line `{line}`")) }
    }

    /// Checks it against the source, which `read` gives by path.
    fn check(&self, read: impl Fn(&str) -> Option<String>) -> Result<(), String> {
        let number = self.name.split('-').next().unwrap_or_default();
        if number.len() < 2 || number.parse::<u16>().is_err() {
            return Err("its name does not begin with a number, two digits at least".to_string());
        }
        if self.reason.len() < REASON_BYTES_MIN {
            return Err("its header does not say what is broken".to_string());
        }
        let [file] = &self.files[..] else {
            return Err("it does not change one file".to_string());
        };
        if !file.starts_with("src/") || file.starts_with("src/fs/sim/") {
            return Err(format!("{file} is not the engine"));
        }
        let text = read(file).ok_or_else(|| format!("{file} is missing"))?;
        for (before, after) in &self.hunks {
            let count = text.matches(before.as_str()).count();
            if count != 1 || before == after || before.is_empty() {
                return Err(format!("it fits {file} in {count} places:\n{before}"));
            }
        }
        if self.hunks.is_empty() {
            return Err("it changes nothing".to_string());
        }
        self.check_killer(read)
    }

    /// Its line in the table of README.md, as `run --table` prints it.
    fn row(&self) -> String {
        let (number, name) = self.name.split_once('-').unwrap_or_default();
        let killer = self.killer.as_deref().unwrap_or_default();
        let killer = killer.strip_prefix("cargo test ").unwrap_or(killer);
        format!("| {number} | {} | `{killer}` |", name.replace('-', " "))
    }

    /// The target that the killer names must exist, and have the tests.
    fn check_killer(&self, read: impl Fn(&str) -> Option<String>) -> Result<(), String> {
        let killer = self.killer.as_deref().ok_or("it has no line `Killed by: `")?;
        let words: Vec<&str> = killer.split(' ').collect();
        let (sources, filter) = match words[..] {
            ["cargo", "test", "--lib", filter] => (sources_below("src"), filter),
            ["cargo", "test", "--test", target, filter] => {
                let alone = format!("tests/{target}.rs");
                let sources = match read(&alone) {
                    Some(text) => vec![text],
                    None => sources_below(&format!("tests/{target}")),
                };
                (sources, filter)
            }
            _ => return Err(format!("`{killer}` is not `cargo test (--lib|--test NAME) FILTER`")),
        };
        let name = filter.rsplit("::").next().unwrap_or(filter);
        // A test, or the beginning of the names of several.
        let declared = format!("fn {name}");
        if !sources.iter().any(|text| text.contains(&declared)) {
            return Err(format!("`{killer}`: there is no such test"));
        }
        Ok(())
    }
}

/// The texts of the Rust files in `folder` and below.
fn sources_below(folder: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return texts };
    for entry in entries {
        let entry = entry.expect("an entry of the folder");
        let name = entry.file_name().into_string().expect("our names are UTF-8");
        let path = format!("{folder}/{name}");
        if entry.file_type().expect("its type").is_dir() {
            texts.extend(sources_below(&path));
        } else if name.ends_with(".rs") {
            texts.extend(source(&path));
        }
    }
    texts
}

fn source(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

fn patch_files() -> Vec<PathBuf> {
    let folder = root().join("tests/planted");
    let entries = fs::read_dir(folder).expect("this folder");
    let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "patch")).collect();
    paths.sort_by_key(|path| (number_of(path), path.clone()));
    paths
}

fn name_of(path: &Path) -> &str {
    path.file_stem().and_then(|name| name.to_str()).expect("our names are UTF-8")
}

fn number_of(path: &Path) -> Option<u16> {
    name_of(path).split('-').next()?.parse().ok()
}

#[test]
fn each_patch_fits_the_source_and_names_a_test() {
    let (mut wrong, mut numbers) = (Vec::new(), BTreeSet::new());
    let files = patch_files();
    for path in &files {
        let name = name_of(path);
        let text = fs::read_to_string(path).expect("it is read");
        let checked = Patch::parse(name, &text).and_then(|patch| patch.check(source));
        if let Err(what) = checked {
            wrong.push(format!("{name}: {what}"));
        }
        if !numbers.insert(number_of(path)) {
            wrong.push(format!("{name}: another patch has its number"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(files.len() >= PATCHES_MIN, "{} patches", files.len());
}

/// `tests/planted/run --table` writes it anew.
#[test]
fn the_table_lists_every_patch_and_its_killer() {
    let table = source("tests/planted/README.md").expect("it is there");
    let listed: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let patches = patch_files();
    let rows = patches.iter().map(|path| {
        let text = fs::read_to_string(path).expect("it is read");
        Patch::parse(name_of(path), &text).map(|patch| patch.row()).unwrap_or_else(|e| e)
    });
    for (listed, row) in listed.iter().zip(rows) {
        assert_eq!(*listed, row);
    }
    assert_eq!(listed.len(), patches.len(), "as many lines as patches");
}

/// One patch for each way to be wrong, and what is to be said of it.
#[test]
fn patches_that_rot_are_reported() {
    const SOURCE: &str = "fn f() {\n    a();\n    b();\n}\n\nfn g() {\n    a();\n}\n";
    let read = |path: &str| match path {
        "src/f.rs" => Some(SOURCE.to_string()),
        "tests/t.rs" => Some("fn kills_it() {}".to_string()),
        _ => None,
    };
    let good = "What is broken, and why it matters to whom.\n\n\
        Killed by: cargo test --test t kills_it\n\n\
        --- a/src/f.rs\n+++ b/src/f.rs\n@@ -2,2 +2,1 @@\n     a();\n-    b();\n";
    let told = |name: &str, text: &str| {
        Patch::parse(name, text).and_then(|patch| patch.check(read)).err().unwrap_or_default()
    };
    assert_eq!(told("01-f", good), "");
    let wrong = [
        (good.replace("-    b();", "-    c();"), "fits src/f.rs in 0 places"),
        (good.replace("-    b();\n", "+    b();\n"), "fits src/f.rs in 2 places"),
        (good.replace("-    b();", "     b();"), "fits src/f.rs in 1 places"),
        (good.replace("-    b();", "*    b();"), "the line `*"),
        (good.replace("src/f.rs", "src/gone.rs"), "src/gone.rs is missing"),
        (good.replace("src/f.rs", "tests/t.rs"), "not the engine"),
        (good.replace("What is broken, and why it matters to whom.", "It."), "does not say"),
        (good.replace("Killed by: ", "By: "), "no line `Killed by: `"),
        (good.replace("--test t kills_it", "--test t"), "is not `cargo test"),
        (good.replace("--test t", "--test u"), "no such test"),
        (good.replace("kills_it", "spares_it"), "no such test"),
        (good.replace("--- a/", "--- b/"), "no diff"),
        (format!("{good}--- a/src/g.rs\n+++ b/src/g.rs\n"), "does not change one file"),
    ];
    for (text, expected) in wrong {
        let told = told("01-f", &text);
        assert!(told.contains(expected), "{expected}: {told}\n{text}");
    }
    assert!(told("f", good).contains("two digits"));
    assert!(told("1-f", good).contains("two digits"));
    assert_eq!(told("100-f", good), "");
}
