//! The same random calls to the engine on disk and to the specification: every answer is the same, errors to
//! the letter, exports to the byte, also after each has taken in what the other gave out.

use crate::fixture::{Fixture, Memory, SimLsm};
use esker::{Engine, Error, Transaction};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::FileFailurePersistence;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone)]
enum Call {
    Get(String),
    Set(String, Vec<u8>),
    Delete(String),
    List(String),
    GetService(String),
    SetService(String, Vec<u8>, Duration),
    DeleteService(String),
    ListServices,
    BatchSet(Vec<(String, Vec<u8>)>),
    BatchDelete(Vec<String>),
    Begin,
    TxGet(Index, String),
    TxSet(Index, String, Vec<u8>),
    TxDelete(Index, String),
    TxList(Index, String),
    Commit(Index),
    Rollback(Index),
    LetGo(Index),
    Export,
    /// What was exported last, or one of these documents.
    Import(Option<&'static str>),
    /// Each restores what the other has backed up.
    ExchangeBackups,
    Pass(u64),
    StepBack(u64),
    Flush,
    Compact,
    Reopen,
    CloseAndGoOn,
}

fn name() -> impl Strategy<Value = String> {
    let piece = select(vec!["a", "\0", "é", "\u{10ffff}", "kv:", "svc:", "\"", "\\", "\n", "/"]);
    prop_oneof![
        60 => proptest::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat()),
        // At the limits of keys and services, with their prefixes, and beyond.
        1 => (65_530..65_534_usize).prop_map(|size| "x".repeat(size)),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let json = select(vec![
        "",
        "{}",
        "{\"a\":1}",
        " {}",
        "{\"a\":1,\"a\":2}",
        "[1e400,-0,1.0]",
        "{\"$base64\":\"AA==\"}",
        "{\"$base64\":1}",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\u{feff}{}",
        "null",
        "tru",
        "{\"a\":}",
        "\"\u{7}\"",
    ]);
    prop_oneof![
        3 => json.prop_map(|text| text.as_bytes().to_vec()),
        2 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => (any::<u8>(), 900..1200_usize).prop_map(|(byte, size)| vec![byte; size]),
        1 => (any::<u8>(), 10_000..30_000_usize).prop_map(|(byte, size)| vec![byte; size]),
    ]
}

fn ttl() -> impl Strategy<Value = Duration> {
    prop_oneof![
        6 => (1..2000_u64).prop_map(Duration::from_millis),
        2 => (1..3_000_000_u64).prop_map(Duration::from_nanos),
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
    ]
}

const DOCUMENTS: [&str; 9] = [
    "{}",
    "{\"services\":{\"a\":{}},\"kv\":{\"a\":\"one\",\"a\":\"two\"},\"expires_at_ms\":{\"a\":18446744073709551615}}",
    "{\"expires_at_ms\":{\"a\":5},\"services\":{\"a\":[1]}}",
    "{\"expires_at_ms\":{\"b\":5},\"services\":{\"a\":[1]}}",
    "{\"expires_at_ms\":{\"a\":1,\"a\":99999999999999},\"services\":{\"a\":1,\"a\":2}}",
    "{\"kv\":{\"a\":1}}",
    "{\"kv\":{\"a\":{\"$base64\":\"AA=\"}}}",
    "{\"kv\":{\"a\":\"\"},\"kv\":{}}",
    "{\"kv\":{\"a\":\"gone\"}} x",
];

fn call() -> impl Strategy<Value = Call> {
    let at = any::<Index>;
    let items = || proptest::collection::vec((name(), value()), 0..6);
    prop_oneof![
        6 => name().prop_map(Call::Get),
        8 => (name(), value()).prop_map(|(key, value)| Call::Set(key, value)),
        3 => name().prop_map(Call::Delete),
        4 => name().prop_map(Call::List),
        6 => name().prop_map(Call::GetService),
        8 => (name(), value(), ttl()).prop_map(|(name, data, ttl)| Call::SetService(name, data, ttl)),
        2 => name().prop_map(Call::DeleteService),
        4 => Just(Call::ListServices),
        4 => items().prop_map(Call::BatchSet),
        2 => proptest::collection::vec(name(), 0..5).prop_map(Call::BatchDelete),
        4 => Just(Call::Begin),
        5 => (at(), name()).prop_map(|(tx, key)| Call::TxGet(tx, key)),
        6 => (at(), name(), value()).prop_map(|(tx, key, value)| Call::TxSet(tx, key, value)),
        3 => (at(), name()).prop_map(|(tx, key)| Call::TxDelete(tx, key)),
        3 => (at(), name()).prop_map(|(tx, prefix)| Call::TxList(tx, prefix)),
        4 => at().prop_map(Call::Commit),
        1 => at().prop_map(Call::Rollback),
        1 => at().prop_map(Call::LetGo),
        3 => Just(Call::Export),
        3 => proptest::option::of(select(DOCUMENTS.to_vec())).prop_map(Call::Import),
        1 => Just(Call::ExchangeBackups),
        4 => prop_oneof![1..3000_u64, 590_000..610_000_u64].prop_map(Call::Pass),
        1 => (1..100_000_u64).prop_map(Call::StepBack),
        2 => Just(Call::Flush),
        2 => Just(Call::Compact),
        2 => Just(Call::Reopen),
        1 => Just(Call::CloseAndGoOn),
    ]
}

type Told<T> = Result<T, String>;

fn told<T>(answer: esker::Result<T>) -> Told<T> {
    answer.map_err(|e| e.to_string())
}

fn same<T: PartialEq + Debug>(
    memory: esker::Result<T>,
    lsm: esker::Result<T>,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(told(lsm), told(memory));
    Ok(())
}

struct Both {
    memory: Memory,
    lsm: SimLsm,
    engines: [Arc<dyn Engine>; 2],
    open: Vec<[Box<dyn Transaction>; 2]>,
    now_ms: u64,
    was_set_back: bool,
    document: Vec<u8>,
}

impl Both {
    fn new() -> Both {
        let (memory, lsm) = (Memory::new(), SimLsm::new());
        let engines = [memory.engine(), lsm.engine()];
        let (now_ms, document) = (1_000_000, b"{}".to_vec());
        let both =
            Both { memory, lsm, engines, open: Vec::new(), now_ms, was_set_back: false, document };
        both.set_clocks();
        both
    }

    fn set_clocks(&self) {
        self.memory.set_now_ms(self.now_ms);
        self.lsm.set_now_ms(self.now_ms);
    }

    fn ask<T: PartialEq + Debug>(
        &self,
        ask: impl Fn(&dyn Engine) -> esker::Result<T>,
    ) -> Result<(), TestCaseError> {
        let [memory, lsm] = &self.engines;
        same(ask(memory.as_ref()), ask(lsm.as_ref()))
    }

    fn ask_tx<T: PartialEq + Debug>(
        &mut self,
        at: &Index,
        ask: impl Fn(&mut dyn Transaction) -> esker::Result<T>,
    ) -> Result<(), TestCaseError> {
        if self.open.is_empty() {
            return Ok(());
        }
        let [memory, lsm] = at.get_mut(&mut self.open);
        same(ask(memory.as_mut()), ask(lsm.as_mut()))
    }

    fn apply(&mut self, call: &Call) -> Result<(), TestCaseError> {
        match call {
            Call::Get(key) => self.ask(|engine| engine.get(key)),
            Call::Set(key, value) => self.ask(|engine| engine.set(key, value)),
            Call::Delete(key) => self.ask(|engine| engine.delete(key)),
            Call::List(prefix) => self.ask(|engine| engine.list(prefix)),
            Call::GetService(name) => self.get_service(name),
            Call::SetService(name, data, ttl) => {
                self.ask(|engine| engine.set_service(name, data, *ttl))
            }
            Call::DeleteService(name) => self.ask(|engine| engine.delete_service(name)),
            Call::ListServices => self.ask(|engine| engine.list_services()),
            Call::BatchSet(items) => {
                let items: Vec<_> =
                    items.iter().map(|(key, value)| (&key[..], &value[..])).collect();
                self.ask(|engine| engine.batch_set(&items))
            }
            Call::BatchDelete(keys) => {
                let keys: Vec<_> = keys.iter().map(String::as_str).collect();
                self.ask(|engine| engine.batch_delete(&keys))
            }
            Call::Begin => {
                let begin = |engine: &Arc<dyn Engine>| engine.begin_tx().expect("begins");
                self.open.push(self.engines.each_ref().map(begin));
                Ok(())
            }
            Call::TxGet(at, key) => self.ask_tx(at, |tx| tx.get(key)),
            Call::TxSet(at, key, value) => self.ask_tx(at, |tx| tx.set(key, value)),
            Call::TxDelete(at, key) => self.ask_tx(at, |tx| tx.delete(key)),
            Call::TxList(at, prefix) => self.ask_tx(at, |tx| tx.list(prefix)),
            // They stay, to be asked once more when they are over.
            Call::Commit(at) => self.ask_tx(at, |tx| tx.commit()),
            Call::Rollback(at) => self.ask_tx(at, |tx| tx.rollback()),
            Call::LetGo(at) => {
                if !self.open.is_empty() {
                    self.open.swap_remove(at.index(self.open.len()));
                }
                Ok(())
            }
            Call::Export => self.export(),
            Call::Import(document) => {
                let document = document.map_or(self.document.clone(), |text| text.into());
                self.ask(|engine| {
                    let report = engine.import(&mut document.as_slice())?;
                    Ok((report.kv, report.services, report.expired))
                })
            }
            Call::ExchangeBackups => self.exchange_backups(),
            Call::Pass(ms) => {
                self.now_ms += ms;
                self.set_clocks();
                Ok(())
            }
            Call::StepBack(ms) => self.step_back(*ms),
            Call::Flush => {
                self.lsm.lsm().db().flush().expect("a flush");
                Ok(())
            }
            Call::Compact => {
                self.lsm.lsm().db().compact().expect("a compaction");
                Ok(())
            }
            Call::Reopen => {
                // A transaction does not outlive its engine.
                self.open.clear();
                self.engines[1] = self.lsm.reopened();
                Ok(())
            }
            Call::CloseAndGoOn => self.close_and_go_on(),
        }
    }

    /// When one is purged, once its retention has passed, is up to the engine; also whether
    /// it still knows that it has passed, when the clock was set back since.
    fn get_service(&self, name: &str) -> Result<(), TestCaseError> {
        let [memory, lsm] = self.engines.each_ref().map(|engine| told(engine.get_service(name)));
        let expired = Err(Error::ServiceExpired.to_string());
        let purged = Err(Error::ServiceNotFound.to_string());
        let is_purged_late = lsm == expired && memory == purged;
        let is_purged_before = self.was_set_back && lsm == purged && memory == expired;
        prop_assert!(
            lsm == memory || is_purged_late || is_purged_before,
            "{:?}, {:?}",
            lsm,
            memory
        );
        Ok(())
    }

    fn export(&mut self) -> Result<(), TestCaseError> {
        let [memory, lsm] = self.engines.each_ref().map(|engine| {
            let mut document = Vec::new();
            engine.export(&mut document).expect("exported");
            (String::from_utf8(document).expect("UTF-8"), engine.export_data().expect("exported"))
        });
        prop_assert_eq!(&lsm, &memory);
        let again: esker::ExportData = serde_json::from_str(&lsm.0).expect("a document");
        prop_assert_eq!(again, lsm.1, "nothing is lost");
        self.document = lsm.0.into_bytes();
        Ok(())
    }

    fn exchange_backups(&mut self) -> Result<(), TestCaseError> {
        let of_memory = self.memory.backup_dir().join("backup");
        let of_lsm = self.lsm.backup_dir().join("backup");
        self.engines[0].backup(&of_memory).expect("backed up");
        self.engines[1].backup(&of_lsm).expect("backed up");
        let bytes = [self.memory.read_file(&of_memory), self.lsm.read_file(&of_lsm)];
        self.memory.write_file(&of_memory, &bytes[1]);
        self.lsm.write_file(&of_lsm, &bytes[0]);
        self.engines[0].restore(&of_memory).expect("restored");
        self.engines[1].restore(&of_lsm).expect("restored");
        self.export()
    }

    /// Both have seen something expire at this very moment: else the one might have seen what the
    /// other has not.
    fn step_back(&mut self, ms: u64) -> Result<(), TestCaseError> {
        self.ask(|engine| engine.set_service("clock", b"", Duration::from_millis(1)))?;
        // By their floors, under which the clock may stand already.
        let data = self.engines[0].export_data().expect("exported");
        self.now_ms = self.now_ms.max(data.expires_at_ms["clock"]);
        self.set_clocks();
        self.get_service("clock")?;
        self.ask(|engine| engine.delete_service("clock"))?;
        self.now_ms -= ms.min(self.now_ms);
        self.was_set_back = true;
        self.set_clocks();
        Ok(())
    }

    fn close_and_go_on(&mut self) -> Result<(), TestCaseError> {
        // The engine in memory would lose everything.
        let lsm = &self.engines[1];
        lsm.close().expect("closed");
        let closed: Told<()> = Err(Error::Closed.to_string());
        for answer in [
            told(lsm.get("a").map(drop)),
            told(lsm.set("a", b"")),
            told(lsm.list("").map(drop)),
            told(lsm.get_service("a").map(drop)),
            told(lsm.set_service("a", b"", Duration::ZERO)),
            told(lsm.batch_set(&[])),
            told(lsm.batch_delete(&[])),
            told(lsm.export(&mut Vec::new()).map(drop)),
            told(lsm.import(&mut &b"{"[..]).map(drop)),
            told(lsm.begin_tx().map(drop)),
            told(lsm.set(&"x".repeat(70_000), b"")),
        ] {
            prop_assert_eq!(&answer, &closed);
        }
        self.apply(&Call::Reopen)
    }
}

fn config() -> ProptestConfig {
    let persistence = FileFailurePersistence::Direct("proptest-regressions/differential.txt");
    let failure_persistence = Some(Box::new(persistence) as _);
    ProptestConfig { cases: 96, failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_engine_on_disk_answers_as_the_specification(
        calls in proptest::collection::vec(call(), 1..80),
    ) {
        let mut both = Both::new();
        for call in &calls {
            both.apply(call)?;
        }
        both.export()?;
        both.apply(&Call::Reopen)?;
        both.export()?;
    }
}
