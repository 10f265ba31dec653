//! Source files as tokens, and the paths in them.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::fs;
use std::path::Path;

/// A source file.
pub struct Source {
    /// Its path from the package's root, with `/` between names.
    pub file: String,
    pub text: String,
    pub tokens: Vec<TokenTree>,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Source {
        let tokens: TokenStream =
            text.parse().unwrap_or_else(|e| panic!("{file} is not Rust: {e:?}"));
        Source {
            file: file.to_string(),
            text: text.to_string(),
            tokens: tokens.into_iter().collect(),
        }
    }

    /// The path of the module that the file is, from the crate's root: none
    /// for `lib.rs`, `["fs", "disk"]` for `src/fs/disk.rs`.
    pub fn module(&self) -> Vec<String> {
        let inside = self.file.strip_prefix("src/").unwrap_or(&self.file);
        let mut names: Vec<String> =
            inside.trim_end_matches(".rs").split('/').map(str::to_string).collect();
        if names.last().is_some_and(|last| last == "mod" || last == "lib") {
            names.pop();
        }
        names
    }

    /// Every path in the file, in `use` and elsewhere.
    pub fn paths(&self) -> Vec<PathUse> {
        let mut found = Vec::new();
        walk(&self.tokens, &mut self.module(), &mut found);
        found
    }
}

/// All Rust files of the package in `folders`, in the order of their paths.
pub fn package(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in folders {
        collect(root, folder, &mut sources);
    }
    assert!(!sources.is_empty(), "no sources in {folders:?}");
    sources.sort_by(|a, b| a.file.cmp(&b.file));
    sources
}

fn collect(root: &Path, folder: &str, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries {
        let entry = entry.expect("an entry of the folder");
        let name = entry.file_name().into_string().expect("our names are UTF-8");
        let file = format!("{folder}/{name}");
        // A package within the package holds to its own rules.
        if root.join(&file).join("Cargo.toml").exists() || name == "target" {
            continue;
        }
        if entry.file_type().expect("its type").is_dir() {
            collect(root, &file, sources);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("it is read");
            sources.push(Source::new(&file, &text));
        }
    }
}

/// A path in the source: `crate::error::Error`, `super::*`, `std::fs`.
#[derive(Debug)]
pub struct PathUse {
    /// The module that it stands in, inline ones included.
    pub module: Vec<String>,
    pub segments: Vec<String>,
    pub line: usize,
}

impl PathUse {
    /// The path from the crate's root; `None` for one that leads elsewhere
    /// (another crate, or a name that is in scope).
    pub fn absolute(&self) -> Option<Vec<String>> {
        let mut rest = self.segments.as_slice();
        let mut at = match rest.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            _ => return None,
        };
        while let Some((first, others)) = rest.split_first()
            && matches!(first.as_str(), "crate" | "self" | "super")
        {
            if first == "super" {
                at.pop();
            }
            rest = others;
        }
        at.extend_from_slice(rest);
        Some(at)
    }
}

fn walk(tokens: &[TokenTree], module: &mut Vec<String>, found: &mut Vec<PathUse>) {
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        index += 1;
        match token {
            TokenTree::Group(group) => walk(&trees(group.stream()), module, found),
            TokenTree::Ident(ident) if ident == "mod" => {
                let (name, body) = (tokens.get(index), tokens.get(index + 1));
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) = (name, body) {
                    module.push(name.to_string());
                    walk(&trees(body.stream()), module, found);
                    module.pop();
                    index += 2;
                }
            }
            // `use<'a>` in a type captures, and imports nothing.
            TokenTree::Ident(ident) if ident == "use" && !is_punct(tokens.get(index), '<') => {
                let end = (index..tokens.len())
                    .find(|at| is_punct(tokens.get(*at), ';'))
                    .unwrap_or(tokens.len());
                use_tree(&tokens[index..end], &[], module, found);
                index = end;
            }
            TokenTree::Ident(ident) => {
                let mut segments = vec![ident.to_string()];
                while is_separator(tokens, index)
                    && let Some(TokenTree::Ident(next)) = tokens.get(index + 2)
                {
                    segments.push(next.to_string());
                    index += 3;
                }
                if segments.len() > 1 {
                    let line = ident.span().start().line;
                    found.push(PathUse { module: module.clone(), segments, line });
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Reads what stands between `use` and `;`, or between two commas of a group.
fn use_tree(tokens: &[TokenTree], prefix: &[String], module: &[String], found: &mut Vec<PathUse>) {
    let mut segments = prefix.to_vec();
    let mut line = None;
    for token in tokens {
        line = line.or(Some(token.span().start().line));
        match token {
            TokenTree::Ident(ident) if ident == "as" => break,
            TokenTree::Ident(ident) => segments.push(ident.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == '*' => segments.push("*".to_string()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inner = trees(group.stream());
                for part in inner.split(|token| is_punct(Some(token), ',')) {
                    if !part.is_empty() {
                        use_tree(part, &segments, module, found);
                    }
                }
                return;
            }
            _ => {}
        }
    }
    if let Some(line) = line {
        found.push(PathUse { module: module.to_vec(), segments, line });
    }
}

pub fn trees(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

pub fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

/// Whether `::` stands at `index`.
fn is_separator(tokens: &[TokenTree], index: usize) -> bool {
    is_punct(tokens.get(index), ':') && is_punct(tokens.get(index + 1), ':')
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let source = Source::new(
        "src/fs/disk.rs",
        r#"
        // use crate::comment::X;
        /// [`crate::doc::X`]
        use std::{fs, io::{self, Read}};
        use crate::error::{Error as E, Result};
        pub(crate) use super::*;
        fn f<'a>(x: &'a str) -> impl Sized + use<'a> {
            let s = "crate::string::X";
            assert!(crate::inside::a_macro(), "{s}");
            super::super::up::f::<u8>(x)
        }
        mod tests { use super::super::File; fn g() { self::h() } }
        "#,
    );
    let paths: Vec<_> = source.paths().iter().map(|path| path.segments.join("::")).collect();
    assert_eq!(
        paths,
        [
            "std::fs",
            "std::io::self",
            "std::io::Read",
            "crate::error::Error",
            "crate::error::Result",
            "super::*",
            "crate::inside::a_macro",
            "super::super::up::f",
            "super::super::File",
            "self::h",
        ]
    );
    let absolute: Vec<_> =
        source.paths().iter().filter_map(PathUse::absolute).map(|path| path.join("::")).collect();
    assert_eq!(
        absolute,
        [
            "error::Error",
            "error::Result",
            "fs::*",
            "inside::a_macro",
            "up::f",
            "fs::File",
            "fs::disk::tests::h",
        ]
    );
}
