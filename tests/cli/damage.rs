//! `verify` and `repair`, of directories that are damaged.

use super::fixture::{Shell, flip, names};
use serde_json::json;

/// A database with a table of many keys, and its path.
fn with_table() -> (Shell, std::path::PathBuf) {
    let shell = Shell::new();
    let lines: String = (0..2_000)
        .map(|n| {
            format!(
                "{{\"key\": \"{n:05}\", \"value\": \"{:064x}\"}}\n",
                u128::from(n as u64 * 7919).pow(2)
            )
        })
        .collect();
    shell.feed(&["load", "-"], lines.as_bytes()).text();
    shell.run(&["compact"]).text();
    let table =
        names(&shell.data()).into_iter().find(|name| name.ends_with(".tbl")).expect("a table");
    let path = shell.data().join(table);
    (shell, path)
}

#[test]
fn a_sound_database_verifies() {
    let (shell, _) = with_table();
    assert!(shell.run(&["verify"]).text().starts_with("verified "));
    let document = shell.run(&["verify", "--json", "--bytes-per-second", "100000000"]).json();
    assert_eq!(
        (&document["sound"], &document["complete"], &document["damages"]),
        (&json!(true), &json!(true), &json!(0))
    );
    assert_eq!(document["entries"], 2_000);
}

#[test]
fn damage_is_found_with_its_place_and_saved_around() {
    let (shell, table) = with_table();
    flip(&table, 100..101);
    let ran = shell.run(&["verify", "--json"]);
    let report =
        super::fixture::documents(std::str::from_utf8(&ran.stdout).expect("text")).remove(0);
    let error = ran.fails_as_json(3);
    assert_eq!(error["kind"], "damage");
    assert_eq!(
        (&report["sound"], &report["findings"][0]["kind"]),
        (&json!(false), &json!("damaged"))
    );
    assert!(report["findings"][0]["file"].as_str().expect("a file").ends_with(".tbl"), "{report}");

    let failed = shell.run(&["get", "00000"]).fails(3);
    assert!(
        failed.starts_with("Corruption detected: ") && failed.contains("at offset 0"),
        "{failed}"
    );
    assert!(!shell.run(&["get", "01999"]).bytes().is_empty(), "what is elsewhere stays readable");

    let ran = shell.run(&["repair", "saved", "--json"]);
    let report =
        super::fixture::documents(std::str::from_utf8(&ran.stdout).expect("text")).remove(0);
    ran.fails_as_json(3);
    assert_eq!(report["whole"], json!(false));
    let saved = report["entries"].as_u64().expect("a number");
    assert!((1_000..2_000).contains(&saved), "{report}");
    assert_eq!(shell.run(&["list", "--count", "-d", "saved"]).text(), format!("{saved}\n"));
    assert!(shell.run(&["verify", "-d", "saved"]).text().contains(": 0 damages"));
}

#[test]
fn a_repair_of_what_is_whole_is_whole() {
    let (shell, _) = with_table();
    let document = shell.run(&["repair", "copy", "--json"]).json();
    assert_eq!((&document["whole"], &document["entries"]), (&json!(true), &json!(2_000)));
    let all = shell.run(&["scan"]).bytes();
    assert_eq!(shell.run(&["scan", "-d", "copy"]).bytes(), all);
    assert!(shell.run(&["repair", "copy"]).fails(2).contains("not empty"));
}

#[test]
fn a_directory_that_does_not_open_says_what_to_do() {
    let (shell, _) = with_table();
    flip(&shell.data().join("CURRENT"), 20..21);
    for command in [&["get", "a"][..], &["set", "a", "1"], &["verify"], &["stats"]] {
        let failed = shell.run(command).fails(3);
        assert!(failed.contains("CURRENT") && failed.contains("esker repair"), "{failed}");
    }
    shell.run(&["repair", "saved"]).text();
    assert_eq!(shell.run(&["list", "--count", "-d", "saved"]).text(), "2000\n");
}
