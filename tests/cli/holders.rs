//! A directory that somebody else has open.

use super::fixture::Shell;
use esker::{Db, Options};

fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    name.trim_end().to_string()
}

/// Whether the system tells of our lock on the directory, from which alone the name of who holds it can come. In a
/// container, or on a file system that numbers its files otherwise than the table of locks, it may not.
fn is_told(shell: &Shell) -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let inode = std::fs::metadata(shell.path("data/LOCK")).expect("it is there").ino();
        let (pid, inode) = (format!(" {} ", std::process::id()), format!(":{inode} "));
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let is_told = locks.lines().any(|line| line.contains(&pid) && line.contains(&inode));
        if !is_told {
            println!("skipped: whether the holder is named: /proc/locks does not tell of it");
        }
        is_told
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = shell;
        false
    }
}

#[test]
fn who_holds_the_directory_is_named() {
    let shell = Shell::new();
    let db = Db::open(shell.data(), Options::default()).expect("opens");
    db.set("kv:a", "1").expect("set");
    let is_told = is_told(&shell);
    for command in [
        &["get", "a"][..],
        &["set", "a", "2"],
        &["list"],
        &["backup", "b"],
        &["restore", "b"],
        &["verify"],
        &["repair", "into"],
        &["compact"],
        &["service", "list"],
        &["stats"],
    ] {
        if command[0] == "restore" {
            shell.write("b", "whatever: it is not come to");
        }
        let failed = shell.run(command).fails(4);
        assert!(failed.contains("Cannot acquire directory lock"), "{command:?}: {failed}");
        if is_told {
            let holder =
                format!("process {} ({}) is using this database", std::process::id(), own_name());
            assert!(failed.contains(&holder), "{command:?}: {failed}");
        }
        let error = shell.run(&[&["--json"], command].concat()).fails_as_json(4);
        assert_eq!(error["kind"], "locked");
        if is_told {
            assert_eq!(
                (&error["pid"], &error["program"]),
                (&std::process::id().into(), &own_name().into())
            );
        }
    }
    assert_eq!(db.get("kv:a").expect("get").as_deref(), Some(&b"1"[..]));
    drop(db);
    assert_eq!(shell.run(&["get", "a"]).text(), "1");
}

#[test]
fn readers_are_there_together_and_a_writer_is_told_of_them() {
    let shell = Shell::new();
    shell.run(&["set", "a", "1"]).text();
    let reader = Db::open_read_only(shell.data(), Options::default()).expect("opens");
    assert_eq!(shell.run(&["get", "a"]).text(), "1");
    let failed = shell.run(&["set", "a", "2"]).fails(4);
    if is_told(&shell) {
        let holder =
            format!("process {} ({}) is reading this database", std::process::id(), own_name());
        assert!(failed.contains(&holder), "{failed}");
    }
    drop(reader);
    shell.run(&["set", "a", "2"]).text();
}

// Its content does not matter: a name left there by a process that died is nobody's.
#[test]
fn a_stale_lock_file_names_nobody() {
    let shell = Shell::new();
    shell.run(&["set", "a", "1"]).text();
    shell.write("data/LOCK", "12345");
    assert_eq!(shell.run(&["get", "a"]).text(), "1");
    assert_eq!(std::fs::read(shell.path("data/LOCK")).expect("read"), b"12345");
}
