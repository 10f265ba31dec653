//! The pages under `docs/` say what is so: nothing that can fail is left out, layouts are those of the source, links lead somewhere.
//!
//! What needs more than text is held elsewhere: code in the guide by the documentation's tests, the commands of `docs/cli.md` by
//! `src/bin/esker/args/tests.rs`, the README's own lines by `tests/http/readme.rs`.

#[path = "documentation/items.rs"]
mod items;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files with this extension under `dir`, in order.
fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(dir)).expect("a directory") {
        let path = entry.expect("an entry").path();
        let inside = path.strip_prefix(root()).expect("it is in the root").to_path_buf();
        if path.is_dir() {
            found.extend(files(inside.to_str().expect("UTF-8"), extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(inside);
        }
    }
    found.sort();
    found
}

/// All pages that people read.
fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", "md");
    pages.extend(["README.md", "DESIGN.md", "CHANGELOG.md"].map(PathBuf::from));
    pages
}

/// The first column of the tables under the heading `heading` of a page, without marks.
fn first_column(page: &str, heading: &str) -> BTreeSet<String> {
    let from = page.find(&format!("\n## {heading}\n")).expect(heading) + 1;
    let section = &page[from..];
    let section = section[3..].find("\n## ").map_or(section, |end| &section[..end + 3]);
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    cells.map(|cell| cell.replace('`', "")).collect()
}

#[test]
fn every_error_of_the_library_is_explained() {
    let source = read("src/error.rs");
    let from = source.find("pub enum Error {").expect("the enum");
    let body = &source[from..from + source[from..].find("\n}").expect("its end")];
    let variants: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split([' ', ',', '{']).next())
        .filter(|word| word.starts_with(char::is_uppercase))
        .collect();
    assert!(variants.len() >= 19, "{variants:?}");
    let explained = first_column(&read("docs/troubleshooting.md"), "Errors of the library");
    for variant in variants {
        assert!(explained.contains(variant), "docs/troubleshooting.md lacks `{variant}`");
    }
}

#[test]
fn every_exit_code_is_explained() {
    let source = read("src/bin/esker/failure.rs");
    let codes: Vec<&str> = source
        .lines()
        .filter_map(|line| {
            line.trim().strip_prefix("Kind::")?.split_once("=> (")?.1.rsplit_once(", ")
        })
        .filter_map(|(_, code)| code.strip_suffix("),"))
        .collect();
    assert!(codes.len() >= 11, "{codes:?}");
    for page in ["docs/troubleshooting.md", "docs/cli.md"] {
        let text = read(page);
        for code in &codes {
            assert!(text.contains(&format!("\n| {code} | ")), "{page} lacks exit code {code}");
        }
    }
}

#[test]
fn every_status_is_explained() {
    let numbers: BTreeMap<&str, u16> = BTreeMap::from([
        ("BAD_REQUEST", 400),
        ("UNAUTHORIZED", 401),
        ("FORBIDDEN", 403),
        ("NOT_FOUND", 404),
        ("METHOD_NOT_ALLOWED", 405),
        ("REQUEST_TIMEOUT", 408),
        ("CONFLICT", 409),
        ("GONE", 410),
        ("PAYLOAD_TOO_LARGE", 413),
        ("UNPROCESSABLE_ENTITY", 422),
        ("INTERNAL_SERVER_ERROR", 500),
        ("SERVICE_UNAVAILABLE", 503),
        ("GATEWAY_TIMEOUT", 504),
        ("INSUFFICIENT_STORAGE", 507),
        ("OK", 200),
    ]);
    let explained = first_column(&read("docs/troubleshooting.md"), "Statuses");
    let is_explained = |status: &str| {
        explained.iter().any(|cell| cell.split([' ', ',']).any(|word| word == status))
    };
    for path in files("src/server", "rs") {
        let source = read(&path);
        for used in source.split("StatusCode::").skip(1) {
            let end =
                used.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(used.len());
            let name = &used[..end];
            // Such as `StatusCode::from_u16`.
            if name.len() < 2 {
                continue;
            }
            let status = numbers.get(name).unwrap_or_else(|| panic!("{name} is not known here"));
            assert!(
                *status == 200 || is_explained(&status.to_string()),
                "docs/troubleshooting.md lacks {status}, of {}",
                path.display()
            );
        }
    }
    let described: serde_json::Value =
        serde_json::from_str(&read("src/server/openapi.json")).expect("it is JSON");
    for (path, methods) in described["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").values() {
            for status in method["responses"].as_object().expect("responses").keys() {
                assert!(status == "200" || is_explained(status), "no {status}, of {path}");
            }
        }
    }
}

/// The blocks of `text` whose lines begin with `mark`.
fn layouts(text: &str, mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        let Some(line) = line.strip_prefix(mark) else { continue };
        // A space stands between the mark and the text.
        let line = line.strip_prefix(' ').filter(|_| !mark.is_empty()).unwrap_or(line);
        match (&mut block, line) {
            (None, "```text") => block = Some(String::new()),
            (Some(_), "```") => found.extend(block.take()),
            (Some(block), line) => *block += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    found
}

#[test]
fn layouts_are_those_of_the_source() {
    let page = read("docs/formats.md");
    let shown = layouts(&page, "");
    let mut owned = Vec::new();
    for path in files("src", "rs") {
        if path.ends_with("format.rs")
            || path.ends_with("wal/ops.rs")
            || path.ends_with("format/frame.rs")
        {
            let blocks = layouts(&read(&path), "//!");
            let name = path.to_str().expect("UTF-8").replace('\\', "/");
            assert_eq!(
                page.matches(&format!("<!-- layout of {name} -->")).count(),
                blocks.len(),
                "docs/formats.md has each layout of {name}, and says that it is its"
            );
            owned.extend(blocks);
        }
    }
    assert!(owned.len() >= 8, "{}", owned.len());
    for layout in &owned {
        assert!(
            shown.contains(layout),
            "docs/formats.md lacks this, or has another state of it:\n{layout}"
        );
    }
    assert_eq!(shown.len(), owned.len(), "a layout in docs/formats.md is nobody's");
}

/// How a heading is named in links, as GitHub does it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let text = read(&page);
        let dir = page.parent().expect("a directory");
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().expect("its end");
            if link.starts_with("http") {
                continue;
            }
            seen += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { dir.join(path) };
            assert!(root().join(&target).exists(), "{}: {link}", page.display());
            if !heading.is_empty() {
                let found = read(&target)
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches('#')) == heading);
                assert!(found, "{}: no heading for {link}", page.display());
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn every_page_and_every_example_is_listed() {
    let index = read("docs/README.md");
    for page in files("docs", "md") {
        let name = page.strip_prefix("docs").expect("it is there").to_str().expect("UTF-8");
        assert!(
            name == "README.md" || index.contains(&format!("]({name})")),
            "docs/README.md lacks {name}"
        );
    }
    let readme = read("README.md");
    for example in files("examples", "rs") {
        let name = example.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert!(
            readme.contains(&format!("--example {name}")),
            "README.md lacks the example {name}"
        );
    }
    for image in files("docs/images", "png") {
        let size = fs::metadata(root().join(&image)).expect("it is there").len();
        assert!(size < 250_000, "{} has {size} bytes", image.display());
        let name = image.file_name().and_then(|name| name.to_str()).expect("a name");
        let pages = ["README.md", "docs/http.md", "docs/benchmarks.md"];
        let is_shown = pages.iter().any(|page| read(page).contains(name));
        assert!(is_shown, "nobody shows {name}");
    }
}

#[test]
fn metrics_that_are_named_exist() {
    let source = read("src/server/metrics.rs");
    for page in
        ["docs/operations.md", "docs/http.md", "docs/troubleshooting.md", "docs/grafana.json"]
    {
        let text = read(page);
        for (at, _) in text.match_indices("esker_") {
            let rest = &text[at..];
            let end =
                rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            let name = &rest[..end];
            let family = name
                .trim_end_matches("_bucket")
                .trim_end_matches("_count")
                .trim_end_matches("_sum");
            let is_known =
                [name, family].iter().any(|name| source.contains(&format!("\"{name}\"")));
            assert!(is_known, "{page}: there is no {name}");
        }
    }
}
