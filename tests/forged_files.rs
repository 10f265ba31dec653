//! Files whose checksums all hold and whose content no engine wrote: a bug or
//! an attack made them. An open refuses them with `Corruption` that names the
//! file; it does not panic, and it does not go on to break later.
//!
//! Each test opens with what used to come of it. Three (versions, empty frames,
//! separators) were found by the fuzz targets, the others by reading the decoders for the
//! same properties. `fuzz/README.md` says how a crash becomes a test here.

use esker::fuzzing::{
    Batch, DatabaseId, Edit, Entry, EntryKind, FileId, Identity, KEY_BYTES_MAX, Level, LogId,
    Operation, Properties, SeqNo, TableBytes, TableId, TableMeta, TableParts, fix_current, fix_log,
    fix_manifest, table_meta_of, write_current, write_log, write_manifest, write_table,
};
use esker::sim::SimFs;
use esker::{Compression, Db, Error, Fs, OpenMode, Options};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/db";
const DATABASE: DatabaseId = DatabaseId(11);
const LOG: LogId = LogId(1);
const MANIFEST: Identity = Identity { database: DATABASE, file: FileId(2) };

/// A database in files: one log, no tables, unless a test forges them.
struct Forged {
    log: Vec<u8>,
    manifest: Vec<u8>,
    current: Vec<u8>,
}

fn log_identity() -> Identity {
    Identity::of_log(DATABASE, 1, LOG)
}

fn first_edit() -> Edit {
    Edit {
        log_min: Some(LOG),
        log_base: Some(0),
        opens: Some(1),
        next_file: Some(3),
        ..Edit::default()
    }
}

impl Forged {
    fn new(edit: Edit, batches: &[Batch]) -> Self {
        Forged {
            log: write_log(log_identity(), 0, 0, batches),
            manifest: write_manifest(MANIFEST, &[edit]).expect("written").0,
            current: write_current(MANIFEST),
        }
    }

    fn disk(&self) -> SimFs {
        let fs = SimFs::new();
        fs.create_dir_all(Path::new(DIR)).expect("a directory");
        put(&fs, "000001.log", &self.log);
        put(&fs, "MANIFEST-000002", &self.manifest);
        put(&fs, "CURRENT", &self.current);
        fs
    }

    /// Opens the database, which must be refused for damage in this file.
    fn assert_refused(&self, name: &str) {
        match open(&self.disk()) {
            Err(Error::Corruption { file, .. }) => assert_eq!(file, Path::new(DIR).join(name)),
            other => panic!("{:?}", other.map(drop)),
        }
    }
}

fn put(fs: &SimFs, name: &str, bytes: &[u8]) {
    let file = fs.open(&Path::new(DIR).join(name), OpenMode::CreateNew).expect("a file");
    let mut at = 0;
    while at < bytes.len() {
        at += file.write_at(&bytes[at..], at as u64).expect("a write");
    }
}

fn open(fs: &SimFs) -> Result<Db, Error> {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, Options::default())
}

fn set(key: &[u8], seq: u64) -> Operation {
    let (key, payload) = (key.to_vec(), b"v".to_vec());
    Operation::Entry(Entry { key, seq: SeqNo(seq), kind: EntryKind::Set, payload })
}

fn batch(first_seq: u64, operations: Vec<Operation>) -> Batch {
    Batch { offset: 0, sequence: SeqNo(first_seq), durable: 0, operations }
}

#[test]
fn what_is_not_forged_opens() {
    let batches = [batch(1, vec![set(b"a", 1), set(b"b", 2)]), batch(3, vec![set(b"a", 3)])];
    let db = open(&Forged::new(first_edit(), &batches).disk()).expect("sound");
    assert_eq!(db.get("a").expect("a read").as_deref(), Some(&b"v"[..]));
    assert_eq!(db.metrics().last_seq, 3);
}

/// The sequence numbers of frames had to rise, but not above those of the
/// entries in the frame before. The same version of a key twice went into the
/// memtable, and the table that was written from it panicked in the open.
#[test]
fn batches_that_overlap_are_refused() {
    let overlapping = [batch(1, vec![set(b"a", 1), set(b"b", 2)]), batch(2, vec![set(b"b", 2)])];
    Forged::new(first_edit(), &overlapping).assert_refused("000001.log");
}

/// The log's decoder knew no limits; the table that was written from what it
/// gave does, and panicked in the open.
#[test]
fn a_key_beyond_the_limit_is_refused() {
    let longest = batch(1, vec![set(&[7; KEY_BYTES_MAX], 1)]);
    open(&Forged::new(first_edit(), &[longest]).disk()).expect("the longest key");
    let beyond = batch(1, vec![set(&[7; KEY_BYTES_MAX + 1], 1)]);
    Forged::new(first_edit(), &[beyond]).assert_refused("000001.log");
}

/// Both opened; the first write then panicked, as it found no sequence number.
#[test]
fn sequence_numbers_without_room_above_them_are_refused() {
    let last = batch(SeqNo::MAX.0, vec![set(b"a", SeqNo::MAX.0)]);
    Forged::new(first_edit(), &[last]).assert_refused("000001.log");
    let edit = Edit { last_seq: Some(SeqNo::MAX), ..first_edit() };
    Forged::new(edit, &[]).assert_refused("MANIFEST-000002");
}

/// It opened, and took writes into files whose names the next open did not
/// know: that refused the database for a missing log.
#[test]
fn file_numbers_without_room_above_them_are_refused() {
    for next_file in [1 << 56, (1 << 56) + 1, 1 << 60] {
        let edit = Edit { next_file: Some(next_file), ..first_edit() };
        Forged::new(edit, &[]).assert_refused("MANIFEST-000002");
    }
}

/// The open for reading panicked: a log with such a number counts as a stray one, and the manifest named no other.
#[test]
fn a_first_log_with_the_number_of_a_stray_one_is_refused() {
    let number = 1 << 55;
    let forged = Forged::new(Edit { log_min: Some(LogId(number)), ..first_edit() }, &[]);
    let fs = forged.disk();
    put(&fs, "36028797018963968.log", &forged.log);
    forged.assert_refused("MANIFEST-000002");
    let opened = Db::open_read_only_with_fs(Arc::new(fs.clone()), DIR, Options::default());
    let is_told =
        matches!(opened, Err(Error::Corruption { file, .. }) if file.ends_with("MANIFEST-000002"));
    assert!(is_told);
}

/// The same came of a stray file with such a name. Nothing has to be forged
/// for that.
#[test]
fn a_stray_file_with_the_largest_number_does_not_lock_the_database_up() {
    let fs = Forged::new(first_edit(), &[batch(1, vec![set(b"a", 1)])]).disk();
    put(&fs, "72057594037927936.tbl", b"stray");
    for _ in 0..3 {
        let db = open(&fs).expect("opens");
        assert_eq!(db.get("a").expect("a read").as_deref(), Some(&b"v"[..]));
        db.close().expect("closes");
    }
}

/// Nor is a log with such a name the end of ours, whatever it holds.
#[test]
fn a_stray_log_that_was_never_counted_up_to_is_not_read() {
    let forged = Forged::new(first_edit(), &[batch(1, vec![set(b"a", 1)])]);
    for stray in [vec![0x55; 500], forged.log.clone()] {
        let fs = forged.disk();
        put(&fs, "36028797018963968.log", &stray);
        let db = open(&fs).expect("opens");
        assert_eq!(db.get("a").expect("a read").as_deref(), Some(&b"v"[..]));
        let recovery = db.metrics().recovery;
        assert_eq!((recovery.log_files, recovery.log_cut_at), (1, None));
    }
}

/// A table newer than all that the manifest knew of was accepted; what stood in it
/// was not visible until as many commits had been made: damage read as absence.
#[test]
fn a_table_newer_than_the_last_sequence_number_is_refused() {
    let meta = TableMeta {
        id: TableId(1),
        size_bytes: 100,
        digest: 0,
        written_ms: 1,
        properties: Properties {
            entries: 1,
            smallest_key: b"a".to_vec(),
            largest_key: b"a".to_vec(),
            smallest_seq: SeqNo(1),
            largest_seq: SeqNo(6),
            ..Properties::default()
        },
    };
    let edit = Edit { last_seq: Some(SeqNo(6)), added: vec![(Level::ZERO, meta)], ..first_edit() };
    let mut forged = Forged::new(edit, &[]);
    let last_seq_6 = forged.manifest.windows(2).position(|two| two == [3, 6]).expect("there");
    forged.manifest[last_seq_6 + 1] = 5;
    fix_manifest(&mut forged.manifest, MANIFEST);
    forged.assert_refused("MANIFEST-000002");
}

/// There never was a version 0, but `CURRENT` and the manifest were read when
/// they stated it.
#[test]
fn a_version_that_never_was_is_refused() {
    let mut forged = Forged::new(first_edit(), &[]);
    forged.current[8] = 0;
    fix_current(&mut forged.current);
    forged.assert_refused("CURRENT");
    let mut forged = Forged::new(first_edit(), &[]);
    forged.manifest[8] = 0;
    fix_manifest(&mut forged.manifest, MANIFEST);
    forged.assert_refused("MANIFEST-000002");
}

/// No frame is empty, and the search for durable claims passes over one that
/// says it is; but where one came next it was read, as a batch of nothing. The
/// log now ends before it, as before any frame that is not one.
#[test]
fn an_empty_frame_ends_the_log() {
    let mut forged = Forged::new(first_edit(), &[batch(1, vec![set(b"a", 1)])]);
    let end = forged.log.len();
    forged.log.extend_from_slice(&[0; 32]);
    forged.log[end + 16] = 2; // Its sequence.
    fix_log(&mut forged.log, log_identity());
    let db = open(&forged.disk()).expect("a torn tail");
    let metrics = db.metrics();
    assert_eq!(metrics.recovery.log_cut_at, Some(("000001.log".to_owned(), end as u64)));
}

/// A block whose separator left a gap behind the block before: `verify` found
/// it in order, but a search for a place in the gap went to the block before,
/// which has nothing there, and the version in the block behind was not found.
/// Found by the target `table_open`.
#[test]
fn a_separator_that_leaves_a_gap_is_told() {
    let identity = Identity { database: DATABASE, file: FileId(7) };
    let entry = |key: &[u8], seq| Entry {
        key: key.to_vec(),
        seq: SeqNo(seq),
        kind: EntryKind::Set,
        payload: vec![7; 300],
    };
    // One block each.
    let entries = [entry(b"a", 9), entry(b"b", 9), entry(b"b", 5)];
    let (written, _) =
        write_table(identity, 100, Compression::None, &entries).expect("a valid table");
    let with = |number: usize, separator: (&[u8], u64)| {
        let mut parts = TableParts::of(&written, identity).expect("a valid table");
        assert_eq!(parts.blocks.len(), 3);
        parts.blocks[number].separator = (separator.0.to_vec(), SeqNo(separator.1));
        let bytes = parts.assemble(identity);
        let meta = table_meta_of(&bytes, identity).expect("its checksums hold");
        TableBytes::open(&bytes, identity, &meta, 0).expect("the length is right").verify()
    };
    with(1, (b"b", SeqNo::MAX.0)).expect("as it was");
    with(2, (b"b", 8)).expect("as it was");
    // Behind another key; behind an older version than the last.
    for (number, seq) in [(1, 20), (2, 7), (2, 5)] {
        let told = with(number, (b"b", seq));
        assert!(matches!(told, Err(Error::Corruption { .. })), "block {number} from {seq}");
    }
}
