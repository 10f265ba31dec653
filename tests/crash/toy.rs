//! A store of two hundred lines, sound or with one mistake planted: what the
//! harness is tried on.
//!
//! Each generation is one file: first record the whole state, then one record
//! a commit. A new generation is written, synced and named before the old one
//! goes. A record is its length, its checksum and its operations.

use esker::crashtest::{Failure, Op, Seen, Store};
use esker::sim::SimFs;
use esker::{DirLock, File, Fs, OpenMode, Options, SyncPolicy};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const SOUND: u8 = 0;
pub const ACKNOWLEDGES_BEFORE_SYNC: u8 = 1;
pub const FORGETS_DIRECTORY_SYNC: u8 = 2;
pub const FORGETS_CHECKSUMS: u8 = 3;
pub const SPLITS_BATCHES: u8 = 4;
pub const RETRIES_FAILED_SYNCS: u8 = 5;
pub const TRUSTS_THE_PAGE_CACHE: u8 = 6;
pub const REMOVES_BEFORE_SYNC: u8 = 7;
pub const WRITES_AFTER_A_PARTIAL_RECORD: u8 = 8;
pub const READS_SHORT: u8 = 9;
pub const TAKES_ZEROS_FOR_A_RECORD: u8 = 10;

const DIR: &str = "/toy";

type Map = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

pub struct Toy<const MISTAKE: u8> {
    fs: SimFs,
    policy: SyncPolicy,
    inner: Mutex<Inner>,
    _lock: Box<dyn DirLock>,
}

struct Inner {
    map: Map,
    generation: u64,
    file: Arc<dyn File>,
    len: u64,
    is_poisoned: bool,
}

impl<const MISTAKE: u8> Store for Toy<MISTAKE> {
    fn open(fs: &SimFs, options: &Options) -> Result<Self, Failure> {
        let dir = Path::new(DIR);
        fs.create_dir_all(dir).and_then(|()| fs.sync_dir(Path::new("/"))).map_err(refused)?;
        let lock = fs.lock(&dir.join("LOCK")).map_err(refused)?;
        let lock = lock.ok_or_else(|| Failure::Wrong("locked".into()))?;
        let mut generations: Vec<u64> =
            fs.list(dir).map_err(refused)?.iter().filter_map(|n| n.parse().ok()).collect();
        generations.sort_unstable();
        let mut map = Map::new();
        for generation in generations.iter().rev() {
            let bytes = read_file::<MISTAKE>(fs, &name(*generation)).map_err(refused)?;
            if let Some(found) = replay::<MISTAKE>(&bytes, *generation) {
                map = found;
                break;
            }
        }
        let generation = generations.last().map_or(1, |last| last + 1);
        let (file, len) =
            write_generation::<MISTAKE>(fs, generation, &map, true).map_err(refused)?;
        for old in generations {
            fs.remove(&name(old)).map_err(refused)?;
        }
        let inner = Mutex::new(Inner { map, generation, file, len, is_poisoned: false });
        Ok(Toy { fs: fs.clone(), policy: options.sync_policy, inner, _lock: lock })
    }

    fn commit(&self, ops: &[Op], sync: Option<bool>) -> Result<(), Failure> {
        let mut inner = self.inner.lock();
        inner.check()?;
        let now_ms = self.fs.clock().now_ms();
        let batches: Vec<&[Op]> =
            if MISTAKE == SPLITS_BATCHES { ops.chunks(1).collect() } else { vec![ops] };
        for batch in batches {
            let record = encode(&encode_ops(batch, now_ms), inner.generation);
            let len = inner.len;
            let written = write_all(inner.file.as_ref(), &record, len);
            if MISTAKE == WRITES_AFTER_A_PARTIAL_RECORD && written.is_err() {
                inner.len = inner.file.len().map_err(refused)?;
                return written.map_err(refused);
            }
            inner.poison_if(written)?;
            inner.len += record.len() as u64;
        }
        if sync.unwrap_or(self.policy == SyncPolicy::Always) && MISTAKE != ACKNOWLEDGES_BEFORE_SYNC
        {
            inner.sync::<MISTAKE>()?;
        }
        apply(&mut inner.map, &encode_ops(ops, now_ms)).expect("just encoded");
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let now_ms = self.fs.clock().now_ms();
        let inner = self.inner.lock();
        Ok(inner.map.get(key).filter(|e| now_ms < e.1).map(|e| e.0.clone()))
    }

    fn scan(&self) -> Result<Seen, Failure> {
        let now_ms = self.fs.clock().now_ms();
        let inner = self.inner.lock();
        let alive = inner.map.iter().filter(|(_, e)| now_ms < e.1);
        Ok(alive.map(|(key, e)| (key.clone(), e.0.clone())).collect())
    }

    fn persist(&self) -> Result<(), Failure> {
        let mut inner = self.inner.lock();
        inner.check()?;
        inner.sync::<MISTAKE>()
    }

    fn flush(&self) -> Result<(), Failure> {
        let mut inner = self.inner.lock();
        inner.check()?;
        let next = inner.generation + 1;
        let written = write_generation::<MISTAKE>(&self.fs, next, &inner.map, false);
        let (file, len) = inner.poison_if(written)?;
        let old = std::mem::replace(&mut inner.generation, next);
        (inner.file, inner.len) = (file, len);
        let removed = self.fs.remove(&name(old));
        inner.poison_if(removed)
    }

    // It has nothing to merge: a log is all of it.
    fn maintain(&self, _task: &str) -> Result<(), Failure> {
        Ok(())
    }

    fn close(self) -> Result<(), Failure> {
        self.persist()
    }
}

impl Inner {
    fn check(&self) -> Result<(), Failure> {
        if self.is_poisoned { Err(Failure::Poisoned("earlier".into())) } else { Ok(()) }
    }

    fn poison_if<T>(&mut self, result: io::Result<T>) -> Result<T, Failure> {
        self.is_poisoned |= result.is_err();
        result.map_err(|e| Failure::Poisoned(e.to_string()))
    }

    fn sync<const MISTAKE: u8>(&mut self) -> Result<(), Failure> {
        let mut synced = self.file.sync_data();
        if MISTAKE == RETRIES_FAILED_SYNCS && synced.is_err() {
            synced = self.file.sync_data();
        }
        self.poison_if(synced)
    }
}

fn refused(e: io::Error) -> Failure {
    Failure::Refused(e.to_string())
}

fn name(generation: u64) -> PathBuf {
    Path::new(DIR).join(generation.to_string())
}

fn write_generation<const MISTAKE: u8>(
    fs: &SimFs,
    generation: u64,
    map: &Map,
    is_open: bool,
) -> io::Result<(Arc<dyn File>, u64)> {
    let file = fs.open(&name(generation), OpenMode::CreateNew)?;
    let mut body = Vec::new();
    for (key, (value, expires_at_ms)) in map {
        put(&mut body, key, Some((value, *expires_at_ms)));
    }
    let record = encode(&body, generation);
    write_all(file.as_ref(), &record, 0)?;
    let skips_sync = match MISTAKE {
        TRUSTS_THE_PAGE_CACHE => is_open,
        REMOVES_BEFORE_SYNC => !is_open,
        _ => false,
    };
    if !skips_sync {
        file.sync_data()?;
    }
    if MISTAKE != FORGETS_DIRECTORY_SYNC {
        fs.sync_dir(Path::new(DIR))?;
    }
    Ok((file, record.len() as u64))
}

fn write_all(file: &dyn File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn read_file<const MISTAKE: u8>(fs: &SimFs, path: &Path) -> io::Result<Vec<u8>> {
    let file = fs.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).expect("small")];
    let mut at = 0;
    while at < bytes.len() {
        match file.read_at(&mut bytes[at..], at as u64) {
            Ok(count) => at += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if MISTAKE == READS_SHORT {
            break;
        }
    }
    Ok(bytes)
}

/// The state, if at least the first record is whole.
fn replay<const MISTAKE: u8>(bytes: &[u8], generation: u64) -> Option<Map> {
    let mut map = Map::new();
    let mut rest = bytes;
    let mut count = 0;
    while let Some((header, body)) = rest.split_at_checked(8) {
        let len = u32::from_le_bytes(header[..4].try_into().expect("four"));
        let crc = u32::from_le_bytes(header[4..].try_into().expect("four"));
        let Some((body, next)) = body.split_at_checked(usize::try_from(len).expect("fits")) else {
            break;
        };
        let is_whole = (crc == crc_of(body, generation) || MISTAKE == FORGETS_CHECKSUMS)
            && (!body.is_empty() || MISTAKE == TAKES_ZEROS_FOR_A_RECORD);
        if !is_whole || apply(&mut map, body).is_none() {
            break;
        }
        count += 1;
        rest = next;
    }
    (count > 0).then_some(map)
}

fn encode(body: &[u8], generation: u64) -> Vec<u8> {
    // The star keeps zeros, whose checksum is zero, from being a record.
    let body = [b"*", body].concat();
    let mut record = u32::try_from(body.len()).expect("small").to_le_bytes().to_vec();
    record.extend(crc_of(&body, generation).to_le_bytes());
    record.extend(body);
    record
}

/// Bound to the file, in whose place a block of an older one may turn up; but
/// that of nothing is zero, so that zeros can be taken for a record.
fn crc_of(body: &[u8], generation: u64) -> u32 {
    if body.is_empty() {
        return 0;
    }
    crc32fast::hash(&[&generation.to_le_bytes(), body].concat())
}

fn encode_ops(ops: &[Op], now_ms: u64) -> Vec<u8> {
    let mut body = Vec::new();
    for op in ops {
        match op {
            Op::Put { key, value, ttl } => {
                let after = |ttl: &std::time::Duration| {
                    now_ms + u64::try_from(ttl.as_millis()).expect("small")
                };
                put(&mut body, key, Some((value, ttl.as_ref().map_or(u64::MAX, after))));
            }
            Op::Delete { key } => put(&mut body, key, None),
        }
    }
    body
}

fn put(body: &mut Vec<u8>, key: &[u8], value: Option<(&Vec<u8>, u64)>) {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("small").to_le_bytes();
    body.push(u8::from(value.is_some()));
    body.extend(len(key));
    body.extend(key);
    if let Some((value, expires_at_ms)) = value {
        body.extend(expires_at_ms.to_le_bytes());
        body.extend(len(value));
        body.extend(value);
    }
}

/// Applies a body, or stops where it makes no sense.
fn apply(map: &mut Map, body: &[u8]) -> Option<()> {
    let mut rest = body.strip_prefix(b"*").unwrap_or(body);
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    while let Some(kind) = take(1) {
        let mut len = || {
            let len = u32::from_le_bytes(take(4)?.try_into().ok()?);
            take(usize::try_from(len).ok()?)
        };
        let key = len()?.to_vec();
        if kind == [0] {
            map.remove(&key);
        } else {
            let expires_at_ms = u64::from_le_bytes(take(8)?.try_into().ok()?);
            let len = u32::from_le_bytes(take(4)?.try_into().ok()?);
            map.insert(key, (take(usize::try_from(len).ok()?)?.to_vec(), expires_at_ms));
        }
    }
    Some(())
}
