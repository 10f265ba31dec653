//! The guard of the hot paths (`benches/instructions`) without its counter: how it reads what was counted, how it judges
//! that, and that the page shows the bounds that are in force.

#[path = "../benches/instructions/src/bounds.rs"]
mod bounds;
#[path = "../benches/instructions/src/callgrind.rs"]
mod callgrind;
#[path = "../benches/page/marked.rs"]
mod marked;
#[path = "../benches/instructions/src/report.rs"]
mod report;

use bounds::Bounds;
use marked::replaced_between;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn bounds() -> Bounds {
    let text = read("benches/instructions/bounds.txt");
    let bounds = Bounds::parse(&text).expect("the table is one");
    assert_eq!(bounds.to_text(), text, "as `--update` writes it");
    bounds
}

#[test]
fn each_path_has_its_bound() {
    let source = read("benches/instructions/src/paths.rs");
    let names: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("HotPath { name: \"")?.split('"').next())
        .collect();
    assert!(names.len() >= 19, "{names:?}");
    assert!(bounds().rows.iter().map(|row| &row.name).eq(&names), "{names:?}");
}

#[test]
fn what_is_marked_on_a_page_is_replaced() {
    let page = "a\n<!-- counts -->\nold\n<!-- end of counts -->\nb\n";
    assert_eq!(replaced_between(page, "counts", "new\n"), Ok(page.replace("old", "new")));
    let told = replaced_between(page, "figures", "").expect_err("no such mark");
    assert!(told.contains("<!-- figures -->"), "{told}");
    let told = replaced_between("<!-- counts -->\n", "counts", "").expect_err("no end");
    assert!(told.contains("<!-- end of counts -->"), "{told}");
}

#[test]
fn the_page_shows_the_bounds() {
    let page = read("docs/performance.md");
    let table = bounds().to_markdown();
    let updated = replaced_between(&page, "instructions", &table).expect("its place in the page");
    assert_eq!(page, updated, "`--update` writes both");
}
