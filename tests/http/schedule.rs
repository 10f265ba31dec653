//! Backups by the schedule, and how many are kept.

use crate::client::PATIENCE;
use crate::serving::Serving;
use std::time::{Duration, Instant};

fn names(server: &Serving) -> Vec<String> {
    let names = server.get("/backups").ok();
    let names = names.as_array().expect("a list").iter();
    names.map(|name| name.as_str().expect("a name").to_owned()).collect()
}

fn until(server: &Serving, what: &str, is_so: impl Fn(&[String]) -> bool) {
    let begun = Instant::now();
    loop {
        let names = names(server);
        if is_so(&names) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {names:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Makes a backup, once that of the schedule is done: there is one at a time.
fn make(server: &Serving, body: &str) {
    let begun = Instant::now();
    while server.post("/backup", body).status == 409 {
        assert!(begun.elapsed() < PATIENCE, "another is running all the time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_schedule_makes_backups_and_removes_its_own_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let backups = dir.path().join("backups");
    std::fs::create_dir(&backups).expect("made");
    // Of another database, of somebody who calls his so, and of somebody else: they stay.
    let others = [
        "scheduled-00000000000000aa-00000000000000001-20200101-000000.db",
        "scheduled-by-hand.db",
        "konsul-20200101-000000.db",
    ];
    for name in others {
        std::fs::write(backups.join(name), "not ours").expect("written");
    }
    let schedule = |config: &mut esker::server::ServerConfig| {
        config.backup_every = Some(Duration::from_secs(1));
        config.backup_keep = 2;
    };
    let mut server = Serving::in_dir(dir.path(), schedule);
    make(&server, r#"{"path":"by-hand.db"}"#);
    let ours = |names: &[String]| {
        let ours = names.iter().filter(|name| name.starts_with("scheduled-"));
        ours.filter(|name| !others.contains(&name.as_str())).cloned().collect::<Vec<_>>()
    };
    until(&server, "the first", |names| !ours(names).is_empty());
    let first = ours(&names(&server))[0].clone();
    server.set("a", "1");
    until(&server, "the first is removed", |names| {
        !names.contains(&first) && ours(names).len() == 2
    });
    // Two more rounds, after which nothing of these would be among the newest.
    let kept = ours(&names(&server));
    until(&server, "the next ones", |names| kept.iter().all(|old| !names.contains(old)));
    for name in others.iter().copied().chain(["by-hand.db"]) {
        assert!(backups.join(name).exists(), "{name}");
    }
    server.post("/backup", r#"{"path":"scheduled-mine.db"}"#).failure(400);
    server.stop().expect("it ends well");
    // Nobody makes any more, nor removes what it was to be restored from.
    let server = Serving::in_dir(dir.path(), |_| {});
    let newest = ours(&names(&server))[0].clone();
    server.delete("/kv/a").ok();
    server.post("/restore", &format!("{{\"path\":\"{newest}\"}}")).ok();
    assert_eq!(server.value("a"), Some(b"1".to_vec()), "it is a backup like any other");
}

#[test]
fn without_a_schedule_there_is_none_and_a_restart_does_not_begin_it_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let hourly = |config: &mut esker::server::ServerConfig| {
        config.backup_every = Some(Duration::from_secs(3600));
    };
    let mut server = Serving::in_dir(dir.path(), |_| {});
    assert!(names(&server).is_empty());
    server.stop().expect("it ends well");
    let mut server = Serving::in_dir(dir.path(), hourly);
    until(&server, "there is none yet, so one is due", |names| names.len() == 1);
    server.stop().expect("it ends well");
    let server = Serving::in_dir(dir.path(), hourly);
    make(&server, "");
    assert_eq!(names(&server).len(), 2, "the next is due in an hour");
}
