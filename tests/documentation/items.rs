//! Every public item has an example, or points at one that uses it.
//!
//! Sources are read, not compiled: what is public is what the files below re-export, with the methods of it.
//! Variants, fields and modules are not counted: the example of what they belong to has them.

use super::{files, read};
use std::collections::BTreeMap;

/// The files whose `pub use` makes things public.
const OPEN: [&str; 7] = [
    "src/lib.rs",
    "src/crashtest/mod.rs",
    "src/crashtest/workload.rs",
    "src/fs/sim/mod.rs",
    "src/fuzzing/mod.rs",
    "src/inspect/mod.rs",
    "src/server/mod.rs",
];

/// The modules that are public themselves: all that is public in them is.
const WHOLE: [&str; 5] = [
    "src/crashtest/workload.rs",
    "src/fs/sim/errno.rs",
    "src/fs/sim/mod.rs",
    "src/fuzzing/mod.rs",
    "src/inspect/mod.rs",
];

/// What has no example, and why.
const WITHOUT: [(&str, &str); 3] = [
    ("Properties::count", "it takes an entry of a type that nothing outside can name"),
    ("Properties::decode", "it takes a decoder, which nothing outside can make"),
    ("TableMeta::decode", "it takes a decoder, which nothing outside can make"),
];

/// An item as the source has it.
struct Item {
    /// Such as `Db::open`.
    name: String,
    /// Where it stands.
    file: String,
    docs: String,
}

impl Item {
    /// The code of its examples, layouts left out.
    fn examples(&self) -> String {
        let blocks = self.docs.split("```").skip(1).step_by(2);
        let is_code = |block: &&str| block.starts_with('\n') || block.starts_with("no_run\n");
        blocks.filter(is_code).collect()
    }

    /// At whose example it points.
    fn pointed_at(&self) -> Option<&str> {
        let (_, link) = self.docs.split_once("See the example of [`")?;
        link.split('`').next()
    }

    fn last_name(&self) -> &str {
        self.name.rsplit("::").next().expect("a name")
    }
}

/// The name that `text` begins with.
fn name_at(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The name of what this line defines, if it is something that is counted.
fn defined(line: &str, in_trait: bool) -> Option<&str> {
    let rest = line.strip_prefix("pub ").or(in_trait.then_some(line))?;
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    let rest = rest.strip_prefix("const fn ").map_or_else(
        || {
            ["fn ", "struct ", "enum ", "trait ", "type ", "const "]
                .iter()
                .find_map(|kind| rest.strip_prefix(kind))
        },
        Some,
    )?;
    Some(name_at(rest))
}

/// The type of the inherent `impl` that this line begins.
fn implemented(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    let rest = match rest.strip_prefix('<') {
        Some(generics) => generics.split_once("> ")?.1,
        None => rest.strip_prefix(' ')?,
    };
    (!rest.contains(" for ")).then_some(name_at(rest))
}

/// All that `file` defines: what stands alone, the methods of types and of traits.
fn items_of(file: &str) -> Vec<Item> {
    let source = read(file);
    let (mut found, mut docs) = (Vec::new(), String::new());
    let (mut owner, mut in_trait, mut in_macro) = (String::new(), false, false);
    for line in source.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if let Some(doc) = text.strip_prefix("///") {
            docs += doc.strip_prefix(' ').unwrap_or(doc);
            docs += "\n";
            continue;
        }
        if text.starts_with("#[") || (!docs.is_empty() && text.ends_with(")]")) {
            continue;
        }
        if line.starts_with("mod tests {") {
            break;
        }
        if depth == 0 && !text.is_empty() {
            owner = implemented(text).map(str::to_owned).unwrap_or_default();
            in_trait = text.starts_with("pub trait ");
            in_macro = text.ends_with("!(");
        }
        let name = match depth {
            0 => defined(text, false).map(str::to_owned),
            4 if in_macro && !docs.is_empty() => Some(name_at(text).to_owned()),
            4 if !owner.is_empty() => {
                defined(text, in_trait).map(|name| format!("{owner}::{name}"))
            }
            _ => None,
        };
        if let Some(name) = name {
            found.push(Item { name, file: file.to_owned(), docs: std::mem::take(&mut docs) });
        }
        if in_trait && depth == 0 && !text.is_empty() {
            owner = defined(text, false).unwrap_or_default().to_owned();
        }
        docs.clear();
    }
    found
}

/// What the file re-exports: the place that it comes from, and its name there.
fn exports(file: &str) -> Vec<(String, String)> {
    let source = read(file);
    let home = ["/lib.rs", "/mod.rs", ".rs"].iter().find_map(|end| file.strip_suffix(end));
    let home = home.expect("a source file");
    let mut found = Vec::new();
    for statement in source.split("\npub use ").skip(1) {
        let statement = statement.split(';').next().expect("its end");
        let (path, names) = statement.rsplit_once("::").expect("a path");
        let (path, names) = statement.split_once("::{").unwrap_or((path, names));
        let place = match path.strip_prefix("crate::") {
            Some(path) => format!("src/{path}"),
            None => format!("{home}/{path}"),
        };
        for name in names.split([',', '{', '}']).map(str::trim).filter(|name| !name.is_empty()) {
            let name = name.rsplit("::").next().expect("a name");
            found.push((place.replace("::", "/"), name.to_owned()));
        }
    }
    found
}

/// Whether `file` is the module at `place`, or in it.
fn is_in(file: &str, place: &str) -> bool {
    file.strip_prefix(place).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

#[test]
fn every_public_item_has_an_example() {
    let files =
        files("src", "rs").into_iter().map(|path| path.to_str().expect("UTF-8").replace('\\', "/"));
    let items: Vec<Item> = files
        .filter(|file| !file.starts_with("src/bin/"))
        .flat_map(|file| items_of(&file))
        .collect();
    let mut by_name = BTreeMap::<&str, Vec<&Item>>::new();
    items.iter().for_each(|item| by_name.entry(&item.name).or_default().push(item));

    let mut public: Vec<&Item> =
        items.iter().filter(|item| WHOLE.contains(&item.file.as_str())).collect();
    for (place, name) in OPEN.iter().flat_map(|file| exports(file)) {
        // Modules, and one type that is renamed on its way.
        let (place, name) = match name.as_str() {
            "sim" => continue,
            "BackupHeader" if is_in("src/fuzzing/backup.rs", &place) => {
                ("src/archive".to_owned(), "Header")
            }
            name => (place, name),
        };
        let top = place.split('/').take(2).collect::<Vec<_>>().join("/");
        let count = public.len();
        public.extend(
            by_name.get(name).into_iter().flatten().filter(|item| is_in(&item.file, &place)),
        );
        assert!(public.len() > count, "{place} has no {name}: this test does not find it");
        let methods = format!("{name}::");
        public.extend(
            items.iter().filter(|item| item.name.starts_with(&methods) && is_in(&item.file, &top)),
        );
    }
    assert!(public.len() > 470, "{}", public.len());

    let mut lacking = Vec::new();
    for item in &public {
        let has_word = |other: &Item| {
            let code = other.examples();
            code.split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == item.last_name())
        };
        let is_shown = match item.pointed_at() {
            Some(link) => {
                let mut parts: Vec<&str> = link.split("::").collect();
                parts.drain(..parts.len().saturating_sub(2));
                let names = [parts.join("::"), parts[parts.len() - 1].to_owned()];
                names
                    .iter()
                    .filter_map(|name| by_name.get(name.as_str()))
                    .flatten()
                    .any(|item| has_word(item))
            }
            None => !item.examples().is_empty(),
        };
        let is_excepted = WITHOUT.iter().any(|(name, _)| *name == item.name);
        assert!(!(is_shown && is_excepted), "{} has an example now", item.name);
        if !is_shown && !is_excepted {
            lacking.push(format!("{} of {}", item.name, item.file));
        }
    }
    assert!(
        lacking.is_empty(),
        "no example, and none that is pointed at and uses it:\n{}",
        lacking.join("\n")
    );
}
