//! `inspect`, of every kind of file.

use super::fixture::{Shell, documents, flip, names};
use serde_json::{Value, json};

/// A database with every kind of file, and a backup of it.
fn with_every_file() -> Shell {
    let shell = Shell::new();
    shell.feed(&["set", "large"], &vec![b'x'; 5_000]).text();
    shell.run(&["set", "a", "1", "--ttl", "1h"]).text(); // Which moved the large value out of the log.
    shell.run(&["delete", "b"]).text();
    shell.run(&["backup", "b.bak"]).text();
    shell.run(&["set", "last", "\\"]).text();
    shell
}

fn find(shell: &Shell, ending: &str) -> String {
    let names = names(&shell.data());
    let name = names
        .iter()
        .rfind(|name| name.contains(ending))
        .unwrap_or_else(|| panic!("{ending}: {names:?}"));
    format!("data/{name}")
}

fn items(shell: &Shell, path: &str) -> Vec<Value> {
    shell.run(&["inspect", path, "--json", "--values"]).documents()
}

#[test]
fn every_file_is_readable_by_a_person_and_as_json() {
    let shell = with_every_file();
    let expected = [
        (find(&shell, ".log"), "log", "log_header", "record of"),
        (find(&shell, ".tbl"), "table", "table_header", "block of"),
        (find(&shell, ".val"), "values", "value_header", "for kv:large at 1, pointed to as"),
        (find(&shell, "MANIFEST"), "manifest", "manifest_header", "adds up to"),
        ("data/CURRENT".to_string(), "current", "current", "manifest in force"),
        ("b.bak".to_string(), "backup", "backup_header", "set kv:a, 1 bytes, until "),
    ];
    for (path, format, first, words) in expected {
        let text = shell.run(&["inspect", &path]).text();
        assert!(text.contains(words) && text.ends_with("sound\n"), "{path}: {text}");
        let items = items(&shell, &path);
        assert_eq!(items[0]["item"], first, "{path}");
        let summary = items.last().expect("a summary");
        assert_eq!(
            (&summary["item"], &summary["format"], &summary["damage"], &summary["is_complete"]),
            (&json!("summary"), &json!(format), &Value::Null, &json!(true)),
        );
        assert_eq!(summary["items"], items.len() - 1);
    }
    assert!(shell.run(&["inspect", "data/LOCK"]).text().ends_with("0 pieces: sound\n"));
}

#[test]
fn entries_and_values_are_told() {
    let shell = with_every_file();
    let log = items(&shell, &find(&shell, ".log"));
    let entry = log.iter().find(|item| item["item"] == "entry").expect("an entry");
    assert_eq!(
        (&entry["kind"], &entry["key"], &entry["stored"], &entry["seq"]),
        (&json!("set"), &json!("kv:last"), &json!("\\"), &json!(4)),
    );
    let values = items(&shell, &find(&shell, ".val"));
    let value = &values[1];
    assert_eq!((&value["key"], &value["seq"]), (&json!("kv:large"), &json!(1)));
    let backup = items(&shell, "b.bak");
    let keys: Vec<_> =
        backup.iter().filter(|item| item["item"] == "entry").map(|item| &item["key"]).collect();
    assert_eq!(keys, ["kv:a", "kv:large"]);
    let plain = shell.run(&["inspect", "b.bak", "--json"]).documents();
    assert!(plain.iter().all(|item| item["stored"].is_null()), "values only where asked for");
    let some = shell.run(&["inspect", "b.bak", "--json", "--limit", "2"]).documents();
    assert_eq!((some.len(), &some[2]["is_complete"]), (3, &json!(false)));
}

#[test]
fn files_under_other_names_are_known_by_how_they_begin() {
    let shell = with_every_file();
    for (ending, format) in [(".log", "log"), ("MANIFEST", "manifest"), ("CURRENT", "current")] {
        std::fs::copy(shell.path(&find(&shell, ending)), shell.path("other")).expect("copied");
        assert_eq!(items(&shell, "other").last().expect("a summary")["format"], format);
    }
    // A table is bound to its number, which is in its name, and to its database.
    let table = find(&shell, ".tbl");
    std::fs::copy(shell.path(&table), shell.path("other")).expect("copied");
    assert!(shell.run(&["inspect", "other"]).fails(2).contains("number is in its name"));
    let elsewhere = table.replace("data/", "elsewhere/");
    shell.write(&elsewhere, std::fs::read(shell.path(&table)).expect("read"));
    assert!(shell.run(&["inspect", &elsewhere]).fails(2).contains("identity of its database"));
    let id = items(&shell, "data/CURRENT")[0]["database_id"].as_str().expect("text").to_string();
    shell.run(&["inspect", &elsewhere, "--database-id", &id]).text();
    let ran = shell.run(&["inspect", &elsewhere, "--database-id", "0x1"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    shell.write("text", "this is none of ours");
    assert!(shell.run(&["inspect", "text"]).fails(2).contains("no file of a database"));
}

/// The items up to the damage, and the failure.
fn damaged(shell: &Shell, path: &str) -> (Vec<Value>, Value) {
    let ran = shell.run(&["inspect", path, "--json", "--values"]);
    let mut items = documents(std::str::from_utf8(&ran.stdout).expect("text"));
    let error = ran.fails_as_json(3);
    let summary = items.pop().expect("a summary");
    assert_eq!(summary["damage"]["offset"], error["offset"], "{error}");
    (items, error)
}

#[test]
fn what_comes_before_damage_is_shown_and_where_it_begins_is_said() {
    let shell = with_every_file();
    let files = [
        "b.bak".to_string(),
        find(&shell, ".tbl"),
        find(&shell, ".val"),
        find(&shell, "MANIFEST"),
        find(&shell, ".log"),
    ];
    for path in files {
        let mut sound = items(&shell, &path);
        sound.pop();
        let whole = std::fs::read(shell.path(&path)).expect("read");
        let used = whole.len() - whole.iter().rev().take_while(|byte| **byte == 0).count();
        // How a backup begins is all that tells what it is.
        let begin = if path == "b.bak" { 8 } else { 0 };
        for at in (begin..used).step_by(used / 20 + 1) {
            flip(&shell.path(&path), at..at + 1);
            let ran = shell.run(&["inspect", &path, "--json"]);
            assert!(matches!(ran.code, Some(3 | 8)), "{path}: byte {at}: {ran:?}");
            if ran.code == Some(3) {
                let (before, error) = damaged(&shell, &path);
                assert!(error["offset"].as_u64().expect("a number") <= whole.len() as u64);
                assert_eq!(before, sound[..before.len()], "{path}: byte {at}: only what is sound");
            }
            std::fs::write(shell.path(&path), &whole).expect("put back");
        }
    }
}

#[test]
fn a_torn_tail_is_called_that() {
    let shell = with_every_file();
    let log = find(&shell, ".log");
    let (_, record) = items(&shell, &log)
        .into_iter()
        .enumerate()
        .find(|(_, item)| item["item"] == "record")
        .expect("a record");
    let (offset, bytes) =
        (record["offset"].as_u64().expect("a number"), record["bytes"].as_u64().expect("a number"));
    let at = usize::try_from(offset + bytes).expect("small") - 1;
    flip(&shell.path(&log), at..at + 1);
    let (before, error) = damaged(&shell, &log);
    assert_eq!(
        (before.len(), &error["is_torn_tail"], &error["offset"]),
        (1, &json!(true), &json!(offset))
    );
    let ran = shell.run(&["inspect", &log]);
    assert!(ran.sentence().contains("ends in a torn tail"), "{ran:?}");
}
