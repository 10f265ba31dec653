//! Backups, checkpoints, exports and imports.

use super::fixture::{Shell, flip, names};
use serde_json::{Value, json};

fn filled() -> Shell {
    let shell = Shell::new();
    let input = "set\ta\t1\nset\tb\t\\xff\\0\n";
    shell.feed(&["batch"], input.as_bytes()).text();
    shell.feed(&["set", "large"], &vec![b'x'; 200_000]).text();
    shell.run(&["service", "set", "web", "--ttl", "1h", "{\"port\":1}"]).text();
    shell
}

fn everything(shell: &Shell, dir: &str) -> String {
    shell.run(&["scan", "--raw-keys", "--json", "-d", dir]).text()
}

#[test]
fn a_backup_is_verified_and_restored() {
    let shell = filled();
    let before = everything(&shell, "data");
    let document = shell.run(&["backup", "backups/monday", "--json"]).json();
    assert_eq!((&document["entries"], &document["path"]), (&json!(4), &json!("backups/monday")));
    let info = shell.run(&["verify-backup", "backups/monday", "--json"]).json();
    assert_eq!(
        (&info["sound"], &info["entries"], &info["since"]),
        (&json!(true), &json!(4), &Value::Null)
    );
    assert!(shell.run(&["verify-backup", "backups/monday"]).text().starts_with("sound: 4 entries"));

    shell.run(&["set", "a", "2"]).text();
    shell.run(&["set", "later", "2"]).text();
    let document = shell.run(&["restore", "backups/monday", "--json"]).json();
    assert_eq!((&document["created"], &document["entries"]), (&json!(false), &json!(4)));
    assert_eq!(everything(&shell, "data"), before);

    let document = shell.run(&["restore", "backups/monday", "-d", "fresh", "--json"]).json();
    assert_eq!(document["created"], json!(true));
    assert_eq!(everything(&shell, "fresh"), before);
}

#[test]
fn increments_follow_upon_a_backup_and_are_restored_as_a_chain() {
    let shell = filled();
    shell.run(&["backup", "alone"]).text();
    let refused = shell.run(&["backup", "inc", "--since", "alone"]).fails(2);
    assert!(refused.contains("no backup is followed"), "{refused}");
    let sunday = shell.run(&["backup", "sunday", "--followed", "--json"]).json();
    shell.run(&["delete", "a"]).text();
    shell.run(&["set", "later", "2"]).text();
    let monday = shell.run(&["backup", "monday", "--since", "sunday", "--json"]).json();
    assert_eq!(monday["entries"], json!(2));
    shell.run(&["set", "a", "3"]).text();
    let tuesday = shell.run(&["backup", "-", "--since", "monday"]).bytes();
    std::fs::write(shell.path("tuesday"), &tuesday).expect("a file");
    let after = everything(&shell, "data");

    let chain = ["verify-backup", "sunday", "monday", "tuesday"];
    assert_eq!(shell.run(&chain).text().lines().count(), 3);
    let info = shell.run(&["verify-backup", "monday", "--json"]).json();
    assert_eq!((&info["base_id"], &info["deletes"]), (&sunday["backup_id"], &json!(1)));
    shell.run(&["restore", "sunday", "monday", "tuesday", "-d", "fresh"]).text();
    assert_eq!(everything(&shell, "fresh"), after);
    // A link is missing; an increment alone; a file that is none; standard input among others.
    for wrong in [&["sunday", "tuesday"][..], &["monday"], &["sunday", "-"]] {
        shell.run(&[&["restore"], wrong].concat()).fails(2);
        assert_eq!(everything(&shell, "data"), after);
    }
    shell.run(&["backup", "inc", "--since", "data/CURRENT"]).fails(2);

    // The last one, and that before it: should the last one get lost, another can be made.
    assert_eq!(shell.run(&["unfollow", "--json"]).json()["unfollowed"], json!(2));
    let refused = shell.run(&["backup", "inc", "--since", "monday"]).fails(2);
    assert!(refused.contains("no backup is followed"), "{refused}");
    assert!(!shell.path("inc").exists());
}

#[test]
fn a_backup_goes_through_pipes() {
    let shell = filled();
    let before = everything(&shell, "data");
    let backup = shell.run(&["backup", "-"]).bytes();
    assert!(shell.feed(&["verify-backup", "-"], &backup).text().starts_with("sound: 4 entries"));
    shell.run(&["set", "a", "2"]).text();
    shell.feed(&["restore", "-"], &backup).text();
    assert_eq!(everything(&shell, "data"), before);
    let failed = shell.feed(&["restore", "-", "-d", "fresh"], &backup).fails(2);
    assert!(failed.contains("there is no database in fresh"), "{failed}");
    assert!(!shell.path("fresh").exists());
    let cut = &backup[..backup.len() - 1];
    shell.feed(&["verify-backup", "-"], cut).fails(3);
    shell.feed(&["restore", "-"], cut).fails(3);
    assert_eq!(everything(&shell, "data"), before);
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_touched() {
    let shell = filled();
    shell.run(&["backup", "b", "--no-verify"]).text();
    flip(&shell.path("b"), 1_000..1_001);
    let before = everything(&shell, "data");
    for command in
        [&["verify-backup", "b"][..], &["restore", "b"], &["restore", "b", "-d", "fresh"]]
    {
        let error = shell.run(&[&["--json"], command].concat()).fails_as_json(3);
        assert_eq!((&error["kind"], &error["file"]), (&json!("damage"), &json!("b")), "{error}");
        assert!(error["offset"].as_u64().is_some(), "{error}");
    }
    assert_eq!(everything(&shell, "data"), before);
    let left = std::fs::read_dir(shell.path("fresh")).map_or(0, Iterator::count);
    assert!(left <= 1, "nothing but a lock file");
}

#[test]
fn a_checkpoint_is_a_database_of_its_own() {
    let shell = filled();
    let before = everything(&shell, "data");
    assert_eq!(shell.run(&["checkpoint", "copy", "--json"]).json(), json!({ "dir": "copy" }));
    shell.run(&["delete", "a"]).text();
    assert_eq!(everything(&shell, "copy"), before);
    let failed = shell.run(&["checkpoint", "copy"]).fails(2);
    assert!(failed.contains("not empty"), "{failed}");
}

#[test]
fn an_export_is_imported() {
    let shell = filled();
    let document = shell.run(&["export"]).bytes();
    let parsed: Value = serde_json::from_slice(&document).expect("JSON");
    assert_eq!((&parsed["kv"]["a"], &parsed["services"]["web"]["port"]), (&json!("1"), &json!(1)));
    let report = shell.run(&["export", "all.json", "--json"]).json();
    assert_eq!(report["bytes"], json!(document.len()));
    assert_eq!(std::fs::read(shell.path("all.json")).expect("read"), document);
    assert_eq!(
        shell.run(&["import", "all.json", "-d", "other", "--json"]).json(),
        json!({ "kv": 3, "services": 1, "expired": 0 })
    );
    assert_eq!(shell.run(&["export", "-d", "other"]).bytes(), document);
    shell.feed(&["import", "-d", "third"], &document).text();
    assert_eq!(everything(&shell, "third"), everything(&shell, "data"));
    let left = names(&shell.path(""));
    assert!(!left.iter().any(|name| name.contains("partial")), "{left:?}");
}

#[test]
fn what_is_no_export_is_refused_with_its_place() {
    let shell = filled();
    let before = everything(&shell, "data");
    let failed = shell.feed(&["import"], b"{\"kv\": {\"new\": \"1\",\n\"b\": 7}}").fails(9);
    assert!(failed.contains("$.kv.\"b\"") && failed.contains("line 2"), "{failed}");
    shell.feed(&["import"], b"").fails(9);
    assert_eq!(everything(&shell, "data"), before);
}

#[test]
fn an_export_that_fails_leaves_what_was_there() {
    let shell = filled();
    shell.write("all.json", "what was there");
    let values = names(&shell.data()).into_iter().find(|name| name.ends_with(".val"));
    let log = names(&shell.data()).into_iter().find(|name| name.ends_with(".log"));
    // The large value, wherever it stands by now, in its middle.
    let holder = values.or(log).expect("a file with values");
    flip(&shell.data().join(&holder), 500..2_000);
    let ran = shell.run(&["export", "all.json"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(std::fs::read(shell.path("all.json")).expect("read"), b"what was there");
    assert_eq!(names(&shell.path("")), ["all.json", "data"]);
}
