//! The rules of style that a program can check.

use crate::source::{Source, is_punct, package, trees};
use proc_macro2::{Delimiter, TokenTree};

/// Lines of a file, without its tests, to which the examples of items belong.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function, from `fn` to its last brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Names that say nothing of what is inside.
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "helpers", "misc", "types"];
/// The files that may use `unsafe`: the arena, and what makes the memtable's nodes of it.
const UNSAFE_FILES: &[&str] = &[
    "src/arena/prefetch.rs",
    "src/arena/region.rs",
    "src/arena/slab.rs",
    "src/arena/system.rs",
    "src/memtable/arena.rs",
];
/// The one file that may use `std::fs`: every byte of the engine goes through `Fs`.
const DISK_FILE: &str = "src/fs/disk.rs";
/// The files of the binary that may use `std::fs` all the same, for files of the user's, and why. Those of a database
/// are opened through the library alone.
const USER_FILES: &[(&str, &str)] = &[
    (
        "src/bin/esker/stream.rs",
        "values, exports, backups in pipes: from and to where the user says",
    ),
    ("src/bin/esker/commands/load/folder.rs", "the folder that is loaded"),
    ("src/bin/esker/commands/man.rs", "the pages of the manual"),
    (
        "src/bin/esker/bench/ground.rs",
        "the directory that a run of measurements makes and removes, with databases of its own",
    ),
    ("src/bin/esker/bench/machine.rs", "/proc, and how much the files of such a run take up"),
    ("src/bin/esker/holder.rs", "/proc, and the number of the lock file, of which no byte is read"),
];

/// What breaks the rules in `source`, each with file and line.
fn offences(source: &Source) -> Vec<String> {
    let mut found = Offences { file: source.file.clone(), list: Vec::new() };
    let engine = source.file.starts_with("src/");
    if engine {
        file_length(source, &mut found);
        function_lengths(&source.tokens, &mut found);
        // Tests of a module may damage its files from outside.
        let only_tests = source.file.ends_with("/tests.rs") || source.file.contains("/tests/");
        let is_user_file = USER_FILES.iter().any(|(file, _)| *file == source.file);
        if source.file != DISK_FILE && !is_user_file && !only_tests {
            for path in source.paths() {
                if matches!(path.segments.as_slice(), [a, b, ..] if a == "std" && b == "fs") {
                    found.add(path.line, &format!("`std::fs` outside {DISK_FILE}"));
                }
            }
        }
    }
    names(source, &mut found);
    scan(&source.tokens, &mut found);
    found.list
}

struct Offences {
    file: String,
    list: Vec<String>,
}

impl Offences {
    fn add(&mut self, line: usize, what: &str) {
        self.list.push(format!("{}:{line}: {what}", self.file));
    }
}

fn file_length(source: &Source, found: &mut Offences) {
    let only_tests = source.file.ends_with("/tests.rs") || source.file.contains("/tests/");
    let tests = test_lines(&source.tokens) + example_lines(&source.text);
    let lines = source.text.lines().count() - tests;
    if !only_tests && lines > FILE_LINES_MAX {
        found.add(1, &format!("{lines} lines without tests, {FILE_LINES_MAX} at most"));
    }
}

/// The lines of the examples of items, which are run as tests; layouts are not examples.
fn example_lines(text: &str) -> usize {
    let mut count = 0;
    // Whether what is open is an example.
    let mut open: Option<bool> = None;
    for line in text.lines() {
        let Some(doc) = line.trim_start().strip_prefix("///") else { continue };
        let before = open;
        if doc.trim_start().starts_with("```") {
            open = if open.is_some() { None } else { Some(!doc.ends_with("text")) };
        }
        count += usize::from(before == Some(true) || open == Some(true));
    }
    count
}

/// The lines that `#[cfg(test)] mod name { ... }` takes up.
fn test_lines(tokens: &[TokenTree]) -> usize {
    let mut count = 0;
    let mut attribute_line = None;
    for (index, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token
            && is_punct(index.checked_sub(1).and_then(|before| tokens.get(before)), '#')
        {
            let text: String = group.stream().to_string().split_whitespace().collect();
            if text == "cfg(test)" || text.starts_with("cfg(all(test,") {
                attribute_line = Some(group.span().start().line);
            }
        } else if let TokenTree::Group(group) = token
            && group.delimiter() == Delimiter::Brace
        {
            let name = index.checked_sub(2).and_then(|before| tokens.get(before));
            let is_module = matches!(name, Some(TokenTree::Ident(ident)) if ident == "mod");
            if let (Some(first), true) = (attribute_line, is_module) {
                count += group.span().end().line + 1 - first;
            }
            attribute_line = None;
        } else if is_punct(Some(token), ';') {
            attribute_line = None;
        }
    }
    count
}

fn function_lengths(tokens: &[TokenTree], found: &mut Offences) {
    let mut open: Option<(usize, String)> = None;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(ident) if ident == "fn" => {
                if let Some(TokenTree::Ident(name)) = tokens.get(index + 1) {
                    open = Some((ident.span().start().line, name.to_string()));
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => open = None,
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Brace
                    && let Some((first, name)) = open.take()
                {
                    let lines = group.span().end().line + 1 - first;
                    if lines > FUNCTION_LINES_MAX {
                        let what = format!(
                            "function `{name}` of {lines} lines, {FUNCTION_LINES_MAX} at most"
                        );
                        found.add(first, &what);
                    }
                }
                function_lengths(&trees(group.stream()), found);
            }
            _ => {}
        }
    }
}

/// Files, folders and inline modules by names that say nothing.
fn names(source: &Source, found: &mut Offences) {
    for name in source.file.trim_end_matches(".rs").split('/') {
        if BANNED_NAMES.contains(&name) {
            found.add(1, &format!("`{name}` says nothing; name it after its concept"));
        }
    }
}

fn scan(tokens: &[TokenTree], found: &mut Offences) {
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(ident)
                if ident == "unsafe" && !UNSAFE_FILES.contains(&found.file.as_str()) =>
            {
                let files = UNSAFE_FILES.join(", ");
                found.add(ident.span().start().line, &format!("`unsafe` outside {files}"));
            }
            TokenTree::Ident(ident) if ident == "mod" => {
                if let Some(TokenTree::Ident(name)) = tokens.get(index + 1)
                    && BANNED_NAMES.contains(&name.to_string().as_str())
                {
                    let what = format!("`{name}` says nothing; name it after its concept");
                    found.add(name.span().start().line, &what);
                }
            }
            TokenTree::Group(group) => {
                // `#[allow(...)]` or, for a whole file, `#![allow(...)]`.
                let before = |n: usize| index.checked_sub(n).and_then(|at| tokens.get(at));
                let is_attribute = group.delimiter() == Delimiter::Bracket
                    && (is_punct(before(1), '#')
                        || (is_punct(before(1), '!') && is_punct(before(2), '#')));
                if is_attribute && is_bare_allow(&trees(group.stream())) {
                    found.add(
                        group.span().start().line,
                        "bare `allow`; write `expect(lint, reason = \"...\")`",
                    );
                }
                scan(&trees(group.stream()), found);
            }
            _ => {}
        }
    }
}

fn is_bare_allow(attribute: &[TokenTree]) -> bool {
    match attribute {
        [TokenTree::Ident(name), TokenTree::Group(lints)] if name == "allow" => {
            !trees(lints.stream())
                .iter()
                .any(|token| matches!(token, TokenTree::Ident(ident) if ident == "reason"))
        }
        _ => false,
    }
}

#[test]
fn the_source_is_tidy() {
    let sources = package(&["src", "tests", "examples", "benches"]);
    let offences: Vec<String> = sources.iter().flat_map(offences).collect();
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn exceptions_are_files_that_are_there() {
    for (file, reason) in USER_FILES {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(path).expect(file);
        let uses = Source::new(file, &text)
            .paths()
            .iter()
            .any(|path| path.segments.starts_with(&["std".into(), "fs".into()]));
        assert!(uses && reason.len() > 15, "{file} needs no exception");
    }
}

#[test]
fn untidy_sources_are_reported_with_file_and_line() {
    let long = "// line\n".repeat(501);
    let long_function = format!("\nfn f() {{\n{}}}\n", "    g();\n".repeat(69));
    let planted = [
        ("src/db/mod.rs", long.as_str(), "src/db/mod.rs:1: 501 lines without tests"),
        ("src/db/mod.rs", &long_function, "src/db/mod.rs:2: function `f` of 71 lines"),
        ("src/db/mod.rs", "\nfn f() { unsafe { g() } }", "src/db/mod.rs:2: `unsafe` outside"),
        ("src/db/mod.rs", "\n\nuse std::fs;", "src/db/mod.rs:3: `std::fs` outside"),
        ("src/db/mod.rs", "use std::{io,\n fs::File};", "src/db/mod.rs:2: `std::fs` outside"),
        ("src/db/mod.rs", "fn f() { std::fs::read(\"x\"); }", "src/db/mod.rs:1: `std::fs` outside"),
        ("src/bin/esker/place.rs", "use std::fs;", "src/bin/esker/place.rs:1: `std::fs` outside"),
        ("src/utils.rs", "", "src/utils.rs:1: `utils` says nothing"),
        ("src/table/helpers/x.rs", "", "src/table/helpers/x.rs:1: `helpers` says nothing"),
        ("src/db/mod.rs", "\nmod misc;", "src/db/mod.rs:2: `misc` says nothing"),
        ("tests/common/mod.rs", "", "tests/common/mod.rs:1: `common` says nothing"),
        ("src/db/mod.rs", "\n#[allow(dead_code)] fn f() {}", "src/db/mod.rs:2: bare `allow`"),
        ("tests/x.rs", "#![allow(dead_code, unused)]", "tests/x.rs:1: bare `allow`"),
        (
            "src/db/mod.rs",
            "fn f() { #[allow(unused)] let x = 1; }",
            "src/db/mod.rs:1: bare `allow`",
        ),
    ];
    for (file, text, expected) in planted {
        let found = offences(&Source::new(file, text));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
}

#[test]
fn tidy_sources_are_not_reported() {
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// line\n".repeat(400));
    let half_tests = format!("{}{tests}", "// line\n".repeat(400));
    let short_function = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(68));
    let tidy = [
        ("src/db/mod.rs", half_tests.as_str()),
        ("src/db/mod.rs", &short_function),
        ("src/db/mod.rs", "// unsafe, std::fs, #[allow(x)]\nconst S: &str = \"unsafe std::fs\";"),
        ("src/db/mod.rs", "#[expect(dead_code, reason = \"later\")] fn f() {}"),
        ("src/memtable/arena.rs", "fn f() { unsafe { g() } }"),
        ("src/fs/disk.rs", "use std::fs;"),
        ("src/bin/esker/stream.rs", "use std::fs;"),
        ("src/db/mod.rs", "use crate::fs::Fs;"),
        ("tests/x.rs", "use std::fs;"),
    ];
    for (file, text) in tidy {
        let found = offences(&Source::new(file, text));
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}
