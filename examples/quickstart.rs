//! What esker is for, on real files, with the process killed in the middle.
//!
//! ```text
//! cargo run --release --example quickstart [-- FOLDER] [--keep]
//! ```
//!
//! First it stores every file under FOLDER (by default the source of esker
//! itself) as path and content, registers services, lists by prefix, commits a
//! transaction, and reads all back. Then a child process does the same and says
//! on a pipe which writes were acknowledged; it is killed with SIGKILL while it
//! writes. The store is opened again, and every byte of every acknowledged
//! write is compared with the file on the disk.
//!
//! The database goes to a temporary folder that is removed at the end, unless
//! `--keep` is given.

use esker::{Engine, Error, LsmEngine, Options};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Folders that hold no source.
const SKIPPED_FOLDERS: [&str; 2] = ["target", ".git"];
/// How the folders begin that this program makes; they are skipped too.
const TEMPORARY_PREFIX: &str = "esker-quickstart-";
/// Files larger than the largest value, 1 GiB, are left out.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// After this many writes the child commits a transaction, too.
const WRITES_PER_TRANSACTION: usize = 25;
/// Keys in each transaction of the child.
const TRANSACTION_KEYS: usize = 10;
/// The child is killed after this many acknowledged writes, and up to as many more.
const KILL_AFTER_MIN: u64 = 150;
/// It is killed earlier where large files take longer than this.
const KILL_AFTER_TIME: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--child") {
        let [_, dir, folder] = arguments.as_slice() else {
            return Err("--child is for quickstart itself".into());
        };
        return child(Path::new(dir), Path::new(folder));
    }
    let keep = arguments.iter().any(|argument| argument == "--keep");
    arguments.retain(|argument| argument != "--keep");
    let folder = match arguments.as_slice() {
        [] => default_folder()?,
        [folder] if !folder.to_string_lossy().starts_with('-') => PathBuf::from(folder),
        _ => return Err("usage: quickstart [FOLDER] [--keep]".into()),
    };
    let folder = folder.canonicalize().map_err(|e| format!("{}: {e}", folder.display()))?;

    let files = collect(&folder)?;
    let bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
    println!("{} files, {}, under {}", files.len(), human(bytes), folder.display());
    let temporary = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir()?;

    println!("\n1. In this process");
    whole_path(&temporary.path().join("calm"), &files)?;

    println!("\n2. In a process that is killed");
    killed_path(&temporary.path().join("killed"), &folder, &files)?;

    if keep {
        println!("\nThe databases are kept in {}", temporary.keep().display());
    } else {
        temporary.close()?;
        println!("\nThe databases are removed again (--keep keeps them).");
    }
    Ok(())
}

/// The crate's own source; where that is gone, the folder we were started in.
fn default_folder() -> io::Result<PathBuf> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if source.is_dir() { Ok(source) } else { std::env::current_dir() }
}

/// A file to store, as it was when we first looked.
struct SourceFile {
    /// Its path from the folder, with `/` between names.
    name: String,
    path: PathBuf,
    size_bytes: u64,
    digest: u64,
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Every regular file under `folder`, by name. Links are not followed; what
/// cannot be read, is too large for a value, or has a name that is not UTF-8,
/// is counted and left out.
fn collect(folder: &Path) -> Outcome<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut left_out = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        let Ok(entries) = fs::read_dir(&current) else {
            left_out += 1;
            continue;
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            let path = entry.path();
            if kind.is_dir() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if !SKIPPED_FOLDERS.contains(&&*name) && !name.starts_with(TEMPORARY_PREFIX) {
                    folders.push(path);
                }
                continue;
            }
            let name = path.strip_prefix(folder)?.to_str().map(|name| name.replace('\\', "/"));
            if !kind.is_file() {
                continue;
            }
            let fits = entry.metadata().is_ok_and(|metadata| metadata.len() <= FILE_BYTES_MAX);
            let bytes = if fits { fs::read(&path).ok() } else { None };
            if let (Some(name), Some(bytes)) = (name, bytes) {
                let (size_bytes, digest) = (bytes.len() as u64, digest(&bytes));
                files.push(SourceFile { name, path, size_bytes, digest });
            } else {
                left_out += 1;
            }
        }
    }
    if left_out > 0 {
        println!("({left_out} that cannot be read or stored are left out)");
    }
    if files.is_empty() {
        return Err(format!("there is no file under {}", folder.display()).into());
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Open, set, services, list, transaction, get, close.
fn whole_path(dir: &Path, files: &[SourceFile]) -> Outcome<()> {
    let engine = LsmEngine::open(dir, Options::default())?;
    let start = Instant::now();
    for file in files {
        let Ok(bytes) = fs::read(&file.path) else { continue };
        engine.set(&format!("file/{}", file.name), &bytes)?;
    }
    println!(
        "   set          {} files, each synced to the disk, in {:.1?}",
        files.len(),
        start.elapsed()
    );

    for (name, port) in [("web", 8080), ("api", 9090), ("db", 5432)] {
        let data = json!({"name": name, "address": "10.0.0.1", "port": port}).to_string();
        engine.set_service(name, data.as_bytes(), Duration::from_secs(30))?;
    }
    engine.set_service("brief", b"{}", Duration::from_millis(20))?;
    println!("   set_service  {}", engine.list_services()?.join(", "));
    std::thread::sleep(Duration::from_millis(25));
    match engine.get_service("brief") {
        Err(Error::ServiceExpired) => println!("   25 ms later  brief: service expired"),
        other => return Err(format!("brief should have expired: {other:?}").into()),
    }

    let prefix = prefix_to_list(files);
    let listed = engine.list(&prefix)?;
    println!("   list         {prefix}* gives {} keys, such as", listed.len());
    for key in listed.iter().take(3) {
        println!("                {key}");
    }

    let mut tx = engine.begin_tx()?;
    tx.set("meta/files", files.len().to_string().as_bytes())?;
    tx.set("meta/folder", b"draft")?;
    tx.delete("meta/folder")?;
    tx.commit()?;
    println!("   transaction  left {}", engine.list("meta/")?.join(", "));

    let mut tally = Tally::default();
    for file in files {
        tally.compare(&engine, &format!("file/{}", file.name), file)?;
    }
    engine.close()?;
    println!("   get          {tally}");
    Ok(())
}

/// The first folder of the file in the middle: one that has something in it.
fn prefix_to_list(files: &[SourceFile]) -> String {
    let name = files.get(files.len() / 2).map_or("", |file| file.name.as_str());
    let folder = name.split_once('/').map_or(String::new(), |(first, _)| format!("{first}/"));
    format!("file/{folder}")
}

/// What was compared with the disk.
#[derive(Default)]
struct Tally {
    same: u64,
    bytes: u64,
    changed: u64,
}

impl Tally {
    /// Fails unless `key` holds what `file` holds on the disk, byte for byte.
    fn compare(&mut self, engine: &LsmEngine, key: &str, file: &SourceFile) -> Outcome<()> {
        let on_disk = fs::read(&file.path).ok().filter(|bytes| digest(bytes) == file.digest);
        let Some(on_disk) = on_disk else {
            self.changed += 1; // Somebody is at work in the folder.
            return Ok(());
        };
        let stored = engine.get(key).map_err(|e| format!("{key}: {e}"))?;
        if stored != on_disk {
            return Err(format!("{key} is not what {} holds", file.path.display()).into());
        }
        self.same += 1;
        self.bytes += file.size_bytes;
        Ok(())
    }

    /// As [`Tally::compare`], with the file of this name.
    fn compare_named(
        &mut self,
        engine: &LsmEngine,
        key: &str,
        name: &str,
        files: &[SourceFile],
    ) -> Outcome<()> {
        match files.binary_search_by(|file| file.name.as_str().cmp(name)) {
            Ok(index) => self.compare(engine, key, &files[index]),
            Err(_) => {
                self.changed += 1; // It was not there when we looked.
                Ok(())
            }
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} values, {}: each byte as on the disk", self.same, human(self.bytes))?;
        if self.changed > 0 {
            write!(f, " ({} files have changed since and were left out)", self.changed)?;
        }
        Ok(())
    }
}

/// What the child says of a write that was acknowledged to it.
fn acknowledge(kind: &str, round: u64, name: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{}\n", json!([kind, round, name])).as_bytes())?;
    out.flush()
}

/// Writes, round after round, until it is killed (or its parent is gone).
fn child(dir: &Path, folder: &Path) -> Outcome<()> {
    let files = collect(folder)?;
    let engine = LsmEngine::open(dir, Options::default())?;
    let mut writes = 0;
    for round in 0.. {
        let name = format!("service-{round}");
        engine.set_service(&name, name.as_bytes(), Duration::from_secs(3600))?;
        acknowledge("service", round, &name)?;
        for file in &files {
            let Ok(bytes) = fs::read(&file.path) else { continue };
            engine.set(&format!("{round}/{}", file.name), &bytes)?;
            acknowledge("file", round, &file.name)?;
            writes += 1;
            if writes % WRITES_PER_TRANSACTION == 0 {
                let name = format!("tx-{writes}");
                let mut tx = engine.begin_tx()?;
                for part in 0..TRANSACTION_KEYS {
                    tx.set(&format!("{name}/{part}"), name.as_bytes())?;
                }
                tx.commit()?;
                acknowledge("transaction", round, &name)?;
            }
        }
    }
    Ok(())
}

/// Starts the child, kills it in the middle, and checks what it left.
fn killed_path(dir: &Path, folder: &Path, files: &[SourceFile]) -> Outcome<()> {
    let jitter = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_micros();
    let kill_after = KILL_AFTER_MIN + u64::from(jitter) % KILL_AFTER_MIN;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--child")
        .args([dir, folder])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = child.stdout.take().ok_or("the child has no pipe")?;
    let mut acknowledged: Vec<(String, u64, String)> = Vec::new();
    let mut killed = false;
    let start = Instant::now();
    let mut lines = BufReader::new(pipe);
    let mut line = String::new();
    // On past the kill, to the end: what is in the pipe was acknowledged too.
    while lines.read_line(&mut line)? > 0 {
        if let Ok(Value::Array(parts)) = serde_json::from_str(&line)
            && line.ends_with('\n')
            && let [Value::String(kind), round, Value::String(name)] = parts.as_slice()
        {
            acknowledged.push((kind.clone(), round.as_u64().unwrap_or_default(), name.clone()));
        }
        line.clear();
        let late = acknowledged.len() > 1 && start.elapsed() > KILL_AFTER_TIME;
        if !killed && (late || acknowledged.len() as u64 >= kill_after) {
            child.kill()?; // SIGKILL: it gets no chance to tidy up.
            killed = true;
        }
    }
    let status = child.wait()?;
    if !killed || status.success() {
        return Err(format!("the child ended before it was killed: {status}").into());
    }
    println!("   killed       process {}, {status}", child.id());
    println!("   acknowledged {} writes until then", acknowledged.len());
    check_survivors(dir, files, &acknowledged)
}

/// Every acknowledged write is there, and what was not acknowledged is whole
/// or not there at all.
fn check_survivors(
    dir: &Path,
    files: &[SourceFile],
    acknowledged: &[(String, u64, String)],
) -> Outcome<()> {
    let start = Instant::now();
    let engine = LsmEngine::open(dir, Options::default())?;
    println!("   reopened     in {:.1?}", start.elapsed());
    let mut tally = Tally::default();
    let (mut services, mut transactions, mut last) = (0, 0, None);
    for (kind, round, name) in acknowledged {
        match kind.as_str() {
            "file" => {
                tally.compare_named(&engine, &format!("{round}/{name}"), name, files)?;
                last = Some((*round, name));
            }
            "service" => {
                if engine.get_service(name)? != name.as_bytes() {
                    return Err(format!("service {name} is not what was registered").into());
                }
                services += 1;
            }
            _ => {
                check_transaction(&engine, name)?;
                transactions += 1;
            }
        }
    }
    println!("   files        {tally}");
    println!("   services     {services}, each as it was registered");
    println!("   transactions {transactions}, each with all of its {TRANSACTION_KEYS} keys");

    // The write that the kill interrupted was acknowledged to nobody.
    let mut unacknowledged = Tally::default();
    let (last_round, last_name) = last.ok_or("no file was acknowledged")?;
    for round in [last_round, last_round + 1] {
        for key in engine.list(&format!("{round}/"))? {
            let name = key.split_once('/').map_or("", |(_, name)| name);
            if round > last_round || name > last_name.as_str() {
                unacknowledged.compare_named(&engine, &key, name, files)?;
            }
        }
    }
    for key in engine.list("tx-")? {
        check_transaction(&engine, key.split('/').next().unwrap_or_default())?;
    }
    println!(
        "   in flight    {} written but not acknowledged: whole, and no part of a transaction",
        unacknowledged.same
    );
    engine.close()?;
    println!("   Nothing that was acknowledged is lost.");
    Ok(())
}

/// Fails unless all keys of the transaction are there.
fn check_transaction(engine: &LsmEngine, name: &str) -> Outcome<()> {
    for part in 0..TRANSACTION_KEYS {
        let key = format!("{name}/{part}");
        if engine.get(&key).map_err(|e| format!("{key}: {e}"))? != name.as_bytes() {
            return Err(format!("{key} is not what was committed").into());
        }
    }
    Ok(())
}

fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];
    let mut unit = 0;
    let mut scale = 1;
    while unit + 1 < UNITS.len() && bytes / scale >= 1024 {
        scale *= 1024;
        unit += 1;
    }
    // One digit after the point is enough for a person.
    let tenths = bytes.saturating_mul(10) / scale;
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
    }
}
