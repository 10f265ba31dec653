use super::*;
use crate::fs::OpenMode;
use crate::fs::disk::DiskFs;

#[test]
fn ways_out_are_no_names() {
    for way in ["", ".", "..", "a/b", "/a", "../a", "a/..", "a\0b", "\0"] {
        assert!(!is_one_name(way), "{way:?}");
    }
    for name in ["a", "...", "..a", "a..b", "%2e%2e%2f", "ä"] {
        assert!(is_one_name(name), "{name:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn it_stays_the_directory_that_was_opened() {
    let root = tempfile::tempdir().expect("a directory");
    let (kept, moved) = (root.path().join("kept"), root.path().join("moved"));
    let fs = DiskFs::new();
    let held = HeldDir::open_or_create(&fs, &kept).expect("made");
    std::fs::rename(&kept, &moved).expect("renamed");
    std::os::unix::fs::symlink("/", &kept).expect("a link in its place");
    let path = held.path_of("a").expect("a name");
    fs.open(&path, OpenMode::CreateNew).expect("created").write_at(b"abc", 0).expect("written");
    assert_eq!(std::fs::read(moved.join("a")).expect("there"), b"abc");
    assert_eq!(held.shown_path(&path), kept.join("a"));
    let files = held.files(&fs, |_| true).expect("listed");
    assert_eq!((files.len(), files[0].size_bytes), (1, 3));
    assert!(!held.is_removed());
    std::fs::remove_dir_all(&moved).expect("removed");
    assert!(held.is_removed());
}

#[test]
#[cfg(unix)]
fn links_are_told_and_not_followed() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::write(root.path().join("outside"), b"secret").expect("written");
    let fs = DiskFs::new();
    let dir = root.path().join("dir");
    let held = HeldDir::open_or_create(&fs, &dir).expect("made");
    std::os::unix::fs::symlink("../outside", dir.join("link")).expect("a link");
    std::fs::create_dir(dir.join("sub")).expect("a directory");
    assert_eq!(held.standing("link").expect("looked at"), Standing::Special);
    assert_eq!(held.standing("sub").expect("looked at"), Standing::Special);
    assert_eq!(held.standing("none").expect("looked at"), Standing::Free);
    assert!(held.standing("../outside").is_err());
    assert!(held.files(&fs, |_| true).expect("listed").is_empty());
    assert!(fs.open(&held.path_of("link").expect("a name"), OpenMode::Read).is_err());
}
