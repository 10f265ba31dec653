//! What every file system must answer alike: each check runs on the disk and,
//! with the feature `sim`, on the simulation.

use super::disk::DiskFs;
use super::{DirLock, File, Fs, OpenMode, read_exact_at, write_all_at};
use std::io;
use std::path::Path;

/// Runs `check` in an empty directory of each file system.
fn on_each(check: impl Fn(&dyn Fs, &Path) -> io::Result<()>) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    check(&DiskFs::new(), dir.path())?;
    #[cfg(feature = "sim")]
    {
        let fs = super::sim::SimFs::new();
        let dir = Path::new("/some/where");
        fs.create_dir_all(dir)?;
        check(&fs, dir)?;
    }
    Ok(())
}

fn write(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_all_at(fs.open(path, OpenMode::CreateNew)?.as_ref(), bytes, 0)
}

fn contents(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    read_exact_at(file, &mut bytes, 0)?;
    Ok(bytes)
}

fn read(fs: &dyn Fs, path: &Path) -> io::Result<Vec<u8>> {
    contents(fs.open(path, OpenMode::Read)?.as_ref())
}

fn sorted(fs: &dyn Fs, path: &Path) -> io::Result<Vec<String>> {
    let mut names = fs.list(path)?;
    names.sort_unstable();
    Ok(names)
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|e| e.kind())
}

#[test]
fn opening() -> io::Result<()> {
    on_each(|fs, dir| {
        let path = dir.join("a");
        assert_eq!(kind(fs.open(&path, OpenMode::Read)), Some(io::ErrorKind::NotFound));
        write(fs, &path, b"x")?;
        assert_eq!(kind(fs.open(&path, OpenMode::CreateNew)), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(kind(fs.open(dir, OpenMode::CreateNew)), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(kind(fs.open(dir, OpenMode::Read)), Some(io::ErrorKind::InvalidInput));
        let nowhere = dir.join("none").join("a");
        assert_eq!(kind(fs.open(&nowhere, OpenMode::CreateNew)), Some(io::ErrorKind::NotFound));
        let below_file = path.join("a");
        let refused = kind(fs.open(&below_file, OpenMode::CreateNew));
        assert_eq!(refused, Some(io::ErrorKind::NotADirectory));
        assert_eq!(read(fs, &path)?, b"x", "what failed left the file alone");
        Ok(())
    })
}

#[test]
fn linking() -> io::Result<()> {
    on_each(|fs, dir| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        assert_eq!(kind(fs.link(&a, &b)), Some(io::ErrorKind::NotFound));
        let file = fs.open(&a, OpenMode::CreateNew)?;
        write_all_at(file.as_ref(), b"x", 0)?;
        fs.link(&a, &b)?;
        assert_eq!(kind(fs.link(&a, &b)), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(kind(fs.link(dir, &dir.join("c"))), Some(io::ErrorKind::PermissionDenied));
        write_all_at(file.as_ref(), b"y", 1)?;
        assert_eq!(read(fs, &b)?, b"xy", "one file under two names");
        fs.remove(&a)?;
        assert_eq!(read(fs, &b)?, b"xy");
        assert_eq!(sorted(fs, dir)?, ["b"]);
        Ok(())
    })
}

#[test]
fn reading_and_writing() -> io::Result<()> {
    on_each(|fs, dir| {
        let file = fs.open(&dir.join("a"), OpenMode::CreateNew)?;
        assert_eq!(file.len()?, 0);
        assert_eq!(file.read_at(&mut [0; 4], 0)?, 0);
        assert_eq!(file.write_at(b"", 100)?, 0);
        assert_eq!(file.len()?, 0, "an empty write extends nothing");
        write_all_at(file.as_ref(), b"world", 10)?;
        write_all_at(file.as_ref(), b"hello", 0)?;
        assert_eq!(contents(file.as_ref())?, b"hello\0\0\0\0\0world");
        let mut buf = [7; 8];
        assert_eq!(file.read_at(&mut buf, 12)?, 3, "short at the end");
        assert_eq!(&buf, b"rld\x07\x07\x07\x07\x07");
        assert_eq!(file.read_at(&mut buf, 15)?, 0);
        assert_eq!(file.read_at(&mut buf, 1 << 40)?, 0);
        assert_eq!(file.read_at(&mut [], 0)?, 0);
        let reader = fs.open(&dir.join("a"), OpenMode::Read)?;
        write_all_at(file.as_ref(), b"W", 10)?;
        assert_eq!(contents(reader.as_ref())?, b"hello\0\0\0\0\0World", "seen at once");
        assert!(reader.write_at(b"no", 0).is_err());
        assert!(reader.set_len(0).is_err());
        reader.sync_data()?;
        Ok(())
    })
}

#[test]
fn lengths() -> io::Result<()> {
    on_each(|fs, dir| {
        let file = fs.open(&dir.join("a"), OpenMode::CreateNew)?;
        write_all_at(file.as_ref(), b"abcdef", 0)?;
        file.set_len(2)?;
        assert_eq!(contents(file.as_ref())?, b"ab");
        file.set_len(4)?;
        assert_eq!(contents(file.as_ref())?, b"ab\0\0", "what was cut stays cut");
        file.sync_data()?;
        assert_eq!(file.len()?, 4);
        Ok(())
    })
}

#[test]
fn room_that_is_claimed_is_zeros() -> io::Result<()> {
    on_each(|fs, dir| {
        let path = dir.join("a");
        write(fs, &path, b"abc")?;
        let reading = fs.open(&path, OpenMode::Read)?;
        assert!(reading.allocate(0, 8).is_err(), "it is open for reading");
        let file = fs.open(&dir.join("b"), OpenMode::CreateNew)?;
        write_all_at(file.as_ref(), b"abc", 0)?;
        // A file system that cannot says so, and has done nothing.
        let reach = if file.allocate(3, 9000)? { 9003 } else { 3 };
        file.will_need(0, reach);
        assert_eq!(file.len()?, reach);
        let bytes = contents(file.as_ref())?;
        assert!(bytes.starts_with(b"abc") && bytes[3..].iter().all(|&b| b == 0));
        Ok(())
    })
}

#[test]
fn renaming() -> io::Result<()> {
    on_each(|fs, dir| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        assert_eq!(kind(fs.rename(&a, &b)), Some(io::ErrorKind::NotFound));
        write(fs, &a, b"new")?;
        write(fs, &b, b"old")?;
        let old = fs.open(&b, OpenMode::Read)?;
        fs.rename(&a, &b)?;
        assert_eq!(read(fs, &b)?, b"new");
        assert_eq!(contents(old.as_ref())?, b"old", "the replaced file lives on in its handle");
        assert_eq!(kind(fs.open(&a, OpenMode::Read)), Some(io::ErrorKind::NotFound));
        fs.rename(&b, &b)?;
        assert_eq!(sorted(fs, dir)?, ["b"]);
        fs.create_dir_all(&dir.join("d"))?;
        assert!(fs.rename(&b, &dir.join("d")).is_err());
        assert_eq!(kind(fs.rename(&b, &dir.join("e/b"))), Some(io::ErrorKind::NotFound));
        fs.rename(&b, &dir.join("d/b"))?;
        assert_eq!(read(fs, &dir.join("d/b"))?, b"new");
        fs.rename(&dir.join("d"), &dir.join("e"))?;
        assert_eq!(read(fs, &dir.join("e/b"))?, b"new");
        assert_eq!(
            kind(fs.rename(&dir.join("e"), &dir.join("e/f"))),
            Some(io::ErrorKind::InvalidInput)
        );
        Ok(())
    })
}

#[test]
fn removing() -> io::Result<()> {
    on_each(|fs, dir| {
        let path = dir.join("a");
        assert_eq!(kind(fs.remove(&path)), Some(io::ErrorKind::NotFound));
        let file = fs.open(&path, OpenMode::CreateNew)?;
        write_all_at(file.as_ref(), b"abc", 0)?;
        fs.remove(&path)?;
        assert_eq!(sorted(fs, dir)?, [""; 0]);
        write_all_at(file.as_ref(), b"d", 3)?;
        file.sync_data()?;
        assert_eq!(contents(file.as_ref())?, b"abcd", "an open file outlives its name");
        write(fs, &path, b"another")?;
        assert_eq!(contents(file.as_ref())?, b"abcd");
        assert!(fs.remove(dir).is_err());
        Ok(())
    })
}

#[test]
fn directories() -> io::Result<()> {
    on_each(|fs, dir| {
        let deep = dir.join("x").join("y");
        assert_eq!(kind(fs.list(&deep)), Some(io::ErrorKind::NotFound));
        assert_eq!(kind(fs.sync_dir(&deep)), Some(io::ErrorKind::NotFound));
        fs.create_dir_all(&deep)?;
        fs.create_dir_all(&deep)?;
        write(fs, &deep.join("2"), b"")?;
        write(fs, &deep.join("1"), b"")?;
        assert_eq!(sorted(fs, &deep)?, ["1", "2"]);
        assert_eq!(sorted(fs, dir)?, ["x"]);
        fs.sync_dir(&deep)?;
        let file = deep.join("1");
        assert_eq!(kind(fs.list(&file)), Some(io::ErrorKind::NotADirectory));
        assert!(fs.create_dir_all(&file).is_err());
        assert!(fs.create_dir_all(&file.join("z")).is_err());
        assert_eq!(read(fs, &deep.join("../y/./1"))?, b"");
        Ok(())
    })
}

#[test]
fn locking() -> io::Result<()> {
    on_each(|fs, dir| {
        let path = dir.join("LOCK");
        let first = fs.lock(&path)?;
        assert!(first.is_some());
        assert!(fs.lock(&path)?.is_none(), "a second handle is refused");
        assert_eq!(sorted(fs, dir)?, ["LOCK"]);
        let other: Option<Box<dyn DirLock>> = fs.lock(&dir.join("OTHER"))?;
        assert!(other.is_some());
        drop(first);
        assert!(fs.lock(&path)?.is_some(), "given back on drop; the file was there");
        let shared = fs.lock_shared(&path)?;
        assert!(shared.is_some() && fs.lock(&path)?.is_none(), "no writer beside a reader");
        drop(shared);
        let first = fs.lock(&path)?;
        assert!(first.is_some() && fs.lock_shared(&path)?.is_none(), "nor the other way round");
        drop(first);
        let first = fs.lock_existing(&path)?;
        assert!(first.is_some() && fs.lock_existing(&path)?.is_none() && fs.lock(&path)?.is_none());
        assert_eq!(kind(fs.lock_existing(&dir.join("NONE"))), Some(io::ErrorKind::NotFound));
        assert_eq!(kind(fs.lock_shared(&dir.join("NONE"))), Some(io::ErrorKind::NotFound));
        assert_eq!(sorted(fs, dir)?, ["LOCK", "OTHER"], "none was made");
        assert_eq!(kind(fs.lock(dir)), Some(io::ErrorKind::InvalidInput));
        assert_eq!(kind(fs.lock(&dir.join("none/LOCK"))), Some(io::ErrorKind::NotFound));
        Ok(())
    })
}

#[test]
fn clocks() -> io::Result<()> {
    on_each(|fs, _| {
        let clock = fs.clock();
        let (wall_ms, elapsed) = (clock.now_ms(), clock.elapsed());
        assert!(wall_ms > 1_600_000_000_000, "after 2020");
        assert!(fs.clock().elapsed() >= elapsed, "one clock, whoever asks");
        Ok(())
    })
}
