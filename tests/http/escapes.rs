//! Names of backups that lead elsewhere: none may read, write, rename or remove anything outside of the directory.

use crate::serving::Serving;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Every file below `root`, with its content.
fn everything(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("listed") {
            let path = entry.expect("an entry").path();
            let name = path.display().to_string();
            if path.is_symlink() {
                found.insert(name, None);
            } else if path.is_dir() {
                found.insert(name, None);
                dirs.push(path);
            } else if path.is_file() {
                found.insert(name, fs::read(&path).ok());
            } else {
                found.insert(name, None);
            }
        }
    }
    found
}

/// Ways out, of every kind.
fn ways_out(root: &Path) -> Vec<String> {
    let outside = root.join("outside").display().to_string();
    let mut ways: Vec<String> = [
        "/etc/passwd",
        "/tmp/x.db",
        "/",
        "//",
        "///etc/passwd",
        "/proc/self/environ",
        "/proc/self/fd/0",
        "/dev/null",
        "/dev/stdin",
        "..",
        ".",
        "./..",
        "./.",
        "../",
        "...",
        "....",
        "../x.db",
        "../../x.db",
        "../../../../../../etc/passwd",
        "x/../../outside/x.db",
        "sub/x.db",
        "./sub/x.db",
        "sub/../x.db",
        "sub/../../outside/x.db",
        "x.db/",
        "x.db/.",
        "x.db/..",
        "./x.db/",
        "x\u{0}.db",
        "\u{0}",
        "x.db\u{0}/../../etc",
        "..\u{0}",
        "..\\x.db",
        "..\\..\\x.db",
        "C:\\x.db",
        "C:x.db",
        "\\\\host\\share\\x.db",
        "\\x.db",
        "x\\y.db",
        "..%2fx.db",
        "%2e%2e/x.db",
        "%2e%2e%2fx.db",
        "..%5cx.db",
        "%2fetc%2fpasswd",
        "%00",
        "..%c0%afx.db",
        "..%252fx.db",
        "\u{ff0e}\u{ff0e}/x.db",
        "\u{ff0e}\u{ff0e}\u{ff0f}x.db",
        "..\u{2215}x.db",
        "..\u{2044}x.db",
        "\u{2025}/x.db",
        "\u{2024}\u{2024}/x.db",
        "~",
        "~/x.db",
        "~root/x.db",
        "$HOME/x.db",
        "${HOME}",
        "`id`",
        "$(id)",
        "x;id",
        "x|id",
        "x&id",
        "x>y",
        "x<y",
        "x*",
        "x?",
        "x\"y",
        "x'y",
        "x:y",
        "file:///etc/passwd",
        "http://x/y",
        "-rf",
        "--help",
        ".hidden",
        ".",
        " ",
        "x ",
        " x",
        "x.",
        "x\n",
        "x\r\n",
        "\tx",
        "x\u{7f}",
        "\u{feff}x",
        "x\u{202e}bd.x",
        "x\u{200b}",
        "",
        "LOCK",
        "CURRENT",
        "CURRENT.tmp",
        "RESERVE",
        "MANIFEST-000001",
        "000001.log",
        "000001.tbl",
        "000001.val",
        "x.db.partial-0000",
        "link",
        "linked/x.db",
        "loop",
        "fifo",
        "sub",
        "dangling",
    ]
    .map(str::to_owned)
    .to_vec();
    ways.extend([
        outside.clone(),
        format!("{outside}/x.db"),
        format!("{}/backups/../outside/x.db", root.display()),
        format!("{}/backups/sub/../../outside/x.db", root.display()),
        format!("{}/backups/", root.display()),
        format!("{}/backups", root.display()),
        format!("{}/backupsx.db", root.display()),
        format!("{}/data/CURRENT", root.display()),
        "x".repeat(181),
        "x".repeat(256),
        "x".repeat(5000),
        "ä".repeat(100),
        "../".repeat(2000),
        "/".repeat(5000),
    ]);
    ways
}

#[cfg(unix)]
#[test]
fn nothing_outside_is_read_written_or_removed() {
    let server = Serving::new();
    server.set("a", "1");
    server.post("/backup", r#"{"path":"good.db"}"#).ok();
    let root = server.dir.clone();
    let (backups, outside) = (root.join("backups"), root.join("outside"));
    fs::create_dir(&outside).expect("made");
    fs::copy(backups.join("good.db"), outside.join("x.db")).expect("copied");
    fs::write(outside.join("secret"), "secret").expect("written");
    fs::create_dir(backups.join("sub")).expect("made");
    fs::copy(backups.join("good.db"), backups.join("sub/x.db")).expect("copied");
    let link = |to: &str, at: &str| {
        std::os::unix::fs::symlink(to, backups.join(at)).expect("a link");
    };
    link("../outside/x.db", "link");
    link("../outside", "linked");
    link("loop", "loop");
    link("../outside/none", "dangling");
    let fifo = std::process::Command::new("mkfifo").arg(backups.join("fifo")).status();
    assert!(fifo.expect("mkfifo").success());
    server.set("a", "2");
    let before: BTreeMap<_, _> =
        everything(&root).into_iter().filter(|(name, _)| !name.contains("/data/")).collect();

    let ways = ways_out(&root);
    assert!(ways.len() >= 100, "{}", ways.len());
    for way in &ways {
        let body = json!({"path": way}).to_string();
        // A name that is legal leads to what stands there, which is not there or no file.
        let message = server.post("/restore", &body).failure(400);
        assert!(!message.contains("secret"), "{message}");
        // An empty path, in the reference, is none.
        let made = server.post("/backup", &body);
        made.failure(400);
        let encoded: String = way.bytes().map(|byte| format!("%{byte:02x}")).collect();
        if !way.is_empty() && way.len() < 1000 {
            let verified = server.post(&format!("/backups/{encoded}/verify"), "");
            verified.failure(400);
        }
    }
    let after: BTreeMap<_, _> =
        everything(&root).into_iter().filter(|(name, _)| !name.contains("/data/")).collect();
    assert_eq!(before, after);
    assert_eq!(
        server.get("/backups").ok(),
        json!(["good.db"]),
        "links and the like are not listed"
    );
    assert_eq!(server.value("a"), Some(b"2".to_vec()));
}

/// The directory is swapped for a link while the server runs: it goes on in the one that it opened.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_is_replaced_by_a_link_leads_nowhere() {
    let server = Serving::new();
    server.post("/backup", r#"{"path":"a.db"}"#).ok();
    let (backups, moved) = (server.dir.join("backups"), server.dir.join("moved"));
    let outside = server.dir.join("outside");
    fs::create_dir(&outside).expect("made");
    fs::rename(&backups, &moved).expect("renamed");
    std::os::unix::fs::symlink(&outside, &backups).expect("a link");
    server.post("/backup", r#"{"path":"b.db"}"#).ok();
    assert!(moved.join("b.db").is_file());
    assert_eq!(fs::read_dir(&outside).expect("listed").count(), 0);
}

/// Says so when it goes.
#[cfg(target_os = "linux")]
struct Stopped<'a>(&'a AtomicBool);

#[cfg(target_os = "linux")]
impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A name flips between a backup and a link to one outside, under reads: what is outside is never restored.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_flips_to_a_link_is_never_followed() {
    let server = Serving::new();
    server.set("where", "outside");
    server.post("/backup", r#"{"path":"x.db"}"#).ok();
    let (backups, outside) = (server.dir.join("backups"), server.dir.join("outside.db"));
    fs::rename(backups.join("x.db"), &outside).expect("moved");
    server.set("where", "inside");
    server.post("/backup", r#"{"path":"inside.db"}"#).ok();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when an assertion below fails: else this waits for ever.
        let _stopped = Stopped(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let at = backups.join("next");
                drop(fs::remove_file(&at));
                drop(fs::hard_link(backups.join("inside.db"), &at));
                drop(fs::rename(&at, backups.join("flip.db")));
                // A link and the same inode: a rename onto itself does nothing, so it goes first.
                drop(fs::remove_file(&at));
                drop(std::os::unix::fs::symlink(&outside, &at));
                drop(fs::rename(&at, backups.join("flip.db")));
            }
        });
        for _ in 0..150 {
            let reply = server.post("/restore", r#"{"path":"flip.db"}"#);
            assert!(matches!(reply.status, 200 | 400 | 404 | 500), "{}", reply.text());
            assert_eq!(server.value("where"), Some(b"inside".to_vec()));
        }
    });
}
