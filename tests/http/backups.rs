//! `/backup`, `/restore`, `/backups`.

use crate::client::{Reply, until};
use crate::serving::{Serving, of_each_engine};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;

#[test]
fn a_backup_is_made_listed_verified_and_restored() {
    for server in of_each_engine() {
        assert_eq!(server.get("/backups").ok(), json!([]));
        server.set("a", "old");
        let dir = server.dir.join("backups");
        let path = dir.join("monday.db").display().to_string();
        let made = server.post("/backup", r#"{"path":"monday.db"}"#).ok();
        assert_eq!(made["message"], "Backup completed successfully");
        assert_eq!((&made["path"], &made["backup_file"]), (&json!(path), &json!(path)));
        let size = fs::metadata(&path).expect("it is there").len();
        assert_eq!(made["size_bytes"], size);
        assert!(made["duration_ms"].is_u64());
        assert_eq!(made.as_object().map(serde_json::Map::len), Some(5));

        server.set("a", "new");
        server.set("b", "new");
        let restored = server.post("/restore", &json!({"path": path}).to_string()).ok();
        assert_eq!(restored["message"], "Restore completed successfully");
        assert_eq!(restored["path"], path);
        assert!(restored["duration_ms"].is_u64());
        assert_eq!(server.get("/kv/").ok(), json!(["a"]));
        assert_eq!(server.value("a"), Some(b"old".to_vec()));

        assert_eq!(server.get("/backups").ok(), json!(["monday.db"]));
        let detail = server.get("/backups?detail=true").ok();
        assert_eq!(detail[0]["name"], "monday.db");
        assert_eq!(detail[0]["size_bytes"], size);
        assert_eq!(detail[0]["verified"], true, "it was read back when it was made");
        assert!(detail[0]["created"].as_str().is_some_and(|at| at.ends_with('Z')));
        let verified = server.post("/backups/monday.db/verify", "").ok();
        assert_eq!((&verified["entries"], &verified["size_bytes"]), (&json!(1), &json!(size)));
    }
}

#[test]
fn without_a_name_it_gets_one_of_its_own() {
    let server = Serving::new();
    let mut names = BTreeSet::new();
    for body in ["", "{}", r#"{"path":null}"#, " "] {
        let made = server.post("/backup", body).ok();
        let path = made["path"].as_str().expect("a path").to_owned();
        let name = path.rsplit('/').next().expect("a name").to_owned();
        assert!(name.starts_with("konsul-2") && name.ends_with(".db"), "{name}");
        assert!(name.len() >= "konsul-20250112-101500.db".len());
        assert!(names.insert(name), "each has its own");
    }
    let listed = server.get("/backups").ok();
    assert_eq!(listed.as_array().map(Vec::len), Some(4));
}

#[test]
fn both_names_of_the_member_and_both_ways_to_name_a_file() {
    let server = Serving::new();
    server.set("a", "1");
    let full = server.dir.join("backups/x.db").display().to_string();
    for body in [
        json!({"path": "x.db"}),
        json!({"path": "./x.db"}),
        json!({"path": full}),
        json!({"backup_path": "x.db"}),
    ] {
        assert_eq!(server.post("/backup", &body.to_string()).ok()["path"], full);
        server.post("/restore", &body.to_string()).ok();
    }
    assert_eq!(server.get("/backups").ok(), json!(["x.db"]));
    server.post("/restore", "").failure(400);
    server.post("/restore", "{}").failure(400);
    server.post("/restore", r#"{"path":1}"#).failure(400);
    server.post("/backup", r#"{"pat":"x.db"}"#).failure(400);
    server.post("/backup", r#"{"path":"x.db","backup_path":"y.db"}"#).failure(400);
}

#[test]
fn what_is_missing_or_damaged_is_told_and_changes_nothing() {
    for server in of_each_engine() {
        server.set("a", "1");
        server.post("/backup", r#"{"path":"good.db"}"#).ok();
        let message = server.post("/restore", r#"{"path":"none.db"}"#).failure(404);
        assert!(message.contains("none.db"), "{message}");
        server.post("/backups/none.db/verify", "").failure(404);
        let dir = server.dir.join("backups");
        let good = fs::read(dir.join("good.db")).expect("read");
        server.set("a", "2");
        for (name, bytes) in [
            ("cut.db", &good[..good.len() / 2]),
            ("empty.db", &[][..]),
            ("text.db", &b"this is no backup, but a text that is long enough to have a header"[..]),
            (
                "flipped.db",
                &{
                    let mut flipped = good.clone();
                    let middle = flipped.len() / 2;
                    flipped[middle] ^= 1;
                    flipped
                }[..],
            ),
        ] {
            fs::write(dir.join(name), bytes).expect("written");
            let message = server.post("/restore", &json!({"path": name}).to_string()).failure(422);
            assert!(message.contains(name) && !message.contains("/proc/"), "{message}");
            server.post(&format!("/backups/{name}/verify"), "").failure(422);
            assert_eq!(server.value("a"), Some(b"2".to_vec()));
        }
        let detail = server.get("/backups?detail=true").ok();
        let of = |name: &str| {
            let found = detail.as_array().expect("a list").iter().find(|b| b["name"] == name);
            found.expect("it is listed")["verified"].clone()
        };
        assert_eq!((of("good.db"), of("cut.db")), (json!(true), json!(false)));
    }
}

#[test]
fn one_that_changed_since_is_no_longer_verified() {
    let server = Serving::new();
    server.post("/backup", r#"{"path":"x.db"}"#).ok();
    let path = server.dir.join("backups/x.db");
    let mut bytes = fs::read(&path).expect("read");
    bytes.push(0);
    fs::write(&path, bytes).expect("written");
    assert_eq!(server.get("/backups?detail=true").ok()[0]["verified"], json!(null));
}

#[test]
fn a_directory_that_was_removed_is_made_again() {
    let server = Serving::new();
    server.set("a", "1");
    server.post("/backup", r#"{"path":"x.db"}"#).ok();
    fs::remove_dir_all(server.dir.join("backups")).expect("removed");
    assert_eq!(server.get("/backups").ok(), json!([]));
    server.post("/restore", r#"{"path":"x.db"}"#).failure(404);
    server.post("/backup", r#"{"path":"y.db"}"#).ok();
    assert_eq!(server.get("/backups").ok(), json!(["y.db"]));
}

#[test]
fn the_directory_of_the_database_is_none_for_backups() {
    let server = Serving::with(|config| config.engine.backup_dir = config.engine.data_dir.clone());
    let message = server.post("/backup", r#"{"path":"x.db"}"#).failure(400);
    assert!(message.contains("database itself"), "{message}");
}

#[test]
fn one_at_a_time() {
    let server = Serving::new();
    let value = "v".repeat(1 << 20);
    for n in 0..48 {
        server.set(&format!("k{n}"), &value);
    }
    let mut made = BTreeSet::new();
    // Until two have met: on a busy machine each may come when the one before has ended.
    until("two meet", || {
        let replies: Vec<Reply> = std::thread::scope(|scope| {
            let posts: Vec<_> = (0..8)
                .map(|n| {
                    let body = json!({"path": format!("b{n}.db")}).to_string();
                    let server = &server;
                    scope.spawn(move || server.post("/backup", &body))
                })
                .collect();
            posts.into_iter().map(|post| post.join().expect("no panic")).collect()
        });
        let (refused, done): (Vec<_>, Vec<_>) =
            (0..).zip(&replies).partition(|(_, reply)| reply.status == 409);
        for (_, reply) in &refused {
            assert!(reply.failure(409).contains("another backup is running"));
        }
        for (_, reply) in &done {
            reply.ok();
        }
        assert!(!done.is_empty(), "one of them is the first");
        made.extend(done.into_iter().map(|(n, _)| n));
        !refused.is_empty()
    });
    assert_eq!(server.get("/backups").ok().as_array().map(Vec::len), Some(made.len()));
}
