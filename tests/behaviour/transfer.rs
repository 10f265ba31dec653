//! Export and import.

use crate::fixture::Fixture;
use esker::{Engine, Error, ExportData, ImportReport};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// What is exported after a few calls of every kind, whatever the engine.
const DOCUMENT: &str = "{\"kv\":{\n\
    \"\":\"\",\n\
    \"config/host\":\"10.0.0.1\",\n\
    \"config/port\":\"8080\",\n\
    \"raw\":{\"$base64\":\"/wA=\"},\n\
    \"svc:web\":\"no service\"\n\
    },\n\
    \"services\":{\n\
    \"api\":{\"$base64\":\"bm90IEpTT04=\"},\n\
    \"web\":{\"name\": \"web\"}\n\
    }}\n";

on_every_engine!(
    what_is_exported_to_the_byte,
    an_empty_engine_is_exported_and_imported,
    an_import_goes_over_what_is_there,
    what_was_exported_is_imported_as_it_was,
    wrong_types_are_refused_with_their_place_and_nothing_is_changed,
    keys_at_the_limit_and_beyond,
    values_for_programs,
    a_transaction_that_read_what_an_import_changed_fails,
    after_close_there_is_neither,
);

on_every_engine_with_a_clock!(
    times_go_along_to_the_millisecond,
    what_has_expired_is_left_out_and_counted,
    an_expired_entry_does_not_touch_what_is_there,
    a_document_does_not_move_time,
);

fn exported(engine: &dyn Engine) -> String {
    let mut document = Vec::new();
    let report = engine.export(&mut document).expect("export");
    assert_eq!(report.bytes, document.len() as u64);
    String::from_utf8(document).expect("UTF-8")
}

fn import(engine: &dyn Engine, document: &str) -> esker::Result<ImportReport> {
    engine.import(&mut document.as_bytes())
}

fn counts(report: ImportReport) -> [u64; 3] {
    [report.kv, report.services, report.expired]
}

fn fill(engine: &dyn Engine) {
    engine.set("raw", b"\xff\0").expect("set");
    engine
        .batch_set(&[("config/port", b"8080"), ("", b""), ("config/host", b"10.0.0.1")])
        .expect("batch_set");
    engine.set("svc:web", b"no service").expect("set");
    engine.set("gone", b"").expect("set");
    engine.delete("gone").expect("delete");
    engine.set_service("web", b"{\"name\": \"web\"}", Duration::MAX).expect("set_service");
    engine.set_service("api", b"not JSON", Duration::MAX).expect("set_service");
}

fn what_is_exported_to_the_byte(on: &dyn Fixture) {
    let engine = on.engine();
    fill(&*engine);
    let mut document = Vec::new();
    let report = engine.export(&mut document).expect("export");
    assert_eq!((report.kv, report.services), (5, 2));
    assert_eq!(String::from_utf8(document).expect("UTF-8"), DOCUMENT);
    assert_eq!(exported(&*engine), DOCUMENT, "the same content, the same bytes");
    assert_eq!(exported(&*on.reopened()), DOCUMENT);
}

fn an_empty_engine_is_exported_and_imported(on: &dyn Fixture) {
    let engine = on.engine();
    assert_eq!(exported(&*engine), "{\"kv\":{},\n\"services\":{}}\n");
    for document in ["{}", "{\"kv\":{},\"services\":{},\"expires_at_ms\":{}}", " { } "] {
        assert_eq!(counts(import(&*engine, document).expect("import")), [0; 3]);
    }
    assert!(engine.list("").expect("list").is_empty());
}

fn an_import_goes_over_what_is_there(on: &dyn Fixture) {
    let engine = on.engine();
    fill(&*engine);
    let document = "{\"services\":{\"web\":[ 1 ],\"new\":null},\
         \"kv\":{\"new\":\"first\",\"config/port\":\"9090\",\"new\":\"last\"}}";
    assert_eq!(counts(import(&*engine, document).expect("import")), [2, 2, 0]);
    let engine = on.reopened();
    assert_eq!(engine.get("new").expect("get"), b"last");
    assert_eq!(engine.get("config/port").expect("get"), b"9090");
    assert_eq!(engine.get("config/host").expect("get"), b"10.0.0.1");
    assert_eq!(engine.get_service("web").expect("get_service"), b"[ 1 ]");
    assert_eq!(engine.get_service("new").expect("get_service"), b"null");
    assert_eq!(engine.get_service("api").expect("get_service"), b"not JSON");
}

fn what_was_exported_is_imported_as_it_was(on: &dyn Fixture) {
    let engine = on.engine();
    assert_eq!(counts(import(&*engine, DOCUMENT).expect("import")), [5, 2, 0]);
    assert_eq!(exported(&*engine), DOCUMENT);
    assert_eq!(engine.get("raw").expect("get"), b"\xff\0");
    assert_eq!(engine.get_service("api").expect("get_service"), b"not JSON");
    assert_eq!(engine.get_service("web").expect("get_service"), b"{\"name\": \"web\"}");
    assert_eq!(counts(import(&*engine, DOCUMENT).expect("import")), [5, 2, 0], "once more");
    assert_eq!(exported(&*on.reopened()), DOCUMENT);
}

fn wrong_types_are_refused_with_their_place_and_nothing_is_changed(on: &dyn Fixture) {
    let engine = on.engine();
    fill(&*engine);
    for (wrong, place, line) in [
        ("\"kv\":{\"new\":\"\",\n\"config/host\":5}}", "$.kv.\"config/host\"", 3),
        ("\"kv\":{\"new\":\"\",\"a\":{\"b\":1}}}", "$.kv.\"a\"", 2),
        ("\"kv\":[]}", "$.kv", 2),
        ("\"keys\":{}}", "$.\"keys\"", 2),
        ("\"services\":{}}", "$.\"services\"", 2),
        ("\"expires_at_ms\":{\"new\":\"soon\"}}", "$.expires_at_ms.\"new\"", 2),
        ("\"expires_at_ms\":{\"other\":1}}", "$.expires_at_ms.\"other\"", 0),
        ("\"kv\":{}}}", "$", 2),
        ("\"kv\":{}", "$", 2),
    ] {
        let document = format!("{{\"services\":{{\"new\":{{}}}},\n{wrong}");
        match import(&*engine, &document).expect_err("refused") {
            Error::InvalidImport { path, line: at, column, detail } => {
                assert_eq!((path.as_str(), at), (place, line), "{document}: {detail}");
                assert_eq!(column > 0, line > 0, "{document}");
            }
            e => panic!("{document}: {e}"),
        }
        assert_eq!(exported(&*engine), DOCUMENT, "{document}");
    }
    let e = import(&*engine, "{\"kv\":{\"config/host\":5}}").expect_err("refused");
    assert_eq!(
        e.to_string(),
        "nothing was imported: $.kv.\"config/host\" (line 1, column 23): \
         expected a string or {\"$base64\": ...}, found a number"
    );
}

fn keys_at_the_limit_and_beyond(on: &dyn Fixture) {
    let engine = on.engine();
    let (key, name) = ("k".repeat(65_535 - 3), "s".repeat(65_535 - 4));
    let document = |key: &str, name: &str| {
        format!(
            "{{\"kv\":{{\"{key}\":\"\"}},\"services\":{{\"{name}\":0}},\"expires_at_ms\":{{\"{name}\":18446744073709551615}}}}"
        )
    };
    for (key, name, place) in [
        (format!("{key}k"), name.clone(), "$.kv.\"kkk"),
        (key.clone(), format!("{name}s"), "$.services.\"sss"),
    ] {
        match import(&*engine, &document(&key, &name)).expect_err("too long") {
            Error::TooLarge { what: "key", size_bytes: 65_536, limit_bytes: 65_535, path } => {
                let path = path.expect("a place");
                assert!(path.starts_with(place) && path.len() < 300, "{path}");
                assert!(path.contains("(line 1, column "), "{path}");
            }
            e => panic!("{e}"),
        }
        assert!(engine.export_data().expect("export").kv.is_empty(), "nothing was written");
    }
    assert_eq!(counts(import(&*engine, &document(&key, &name)).expect("the longest")), [1, 1, 0]);
    assert_eq!(engine.list_services().expect("list_services"), [name]);
    assert_eq!(engine.list("").expect("list"), [key]);
    // The largest number is no time at all.
    assert!(!exported(&*engine).contains("expires_at_ms"));
}

fn values_for_programs(on: &dyn Fixture) {
    let engine = on.engine();
    fill(&*engine);
    engine.set_service("short", b"1", HOUR).expect("set_service");
    let mut data = engine.export_data().expect("export");
    assert_eq!(data.kv["raw"], b"\xff\0");
    assert_eq!(data.services["api"], b"not JSON");
    assert_eq!(data.expires_at_ms.keys().collect::<Vec<_>>(), ["short"]);
    let read: ExportData = serde_json::from_str(&exported(&*engine)).expect("an export");
    assert_eq!(read, data);
    data.kv.insert("more".to_owned(), b"1".to_vec());
    data.kv.remove("raw");
    assert_eq!(counts(engine.import_data(&data).expect("import")), [5, 3, 0]);
    assert_eq!(engine.get("more").expect("get"), b"1");
    assert_eq!(engine.get("raw").expect("it was only left out"), b"\xff\0");
    data.kv.insert("k".repeat(65_535), Vec::new());
    data.kv.insert("another".to_owned(), Vec::new());
    let e = engine.import_data(&data).expect_err("too long");
    assert!(
        matches!(&e, Error::TooLarge { path: Some(path), .. } if path.starts_with("$.kv.\"kkk")),
        "{e}"
    );
    data.kv.remove(&"k".repeat(65_535));
    data.expires_at_ms.insert("nobody".to_owned(), 1);
    let e = engine.import_data(&data).expect_err("no such service");
    assert!(
        matches!(&e, Error::InvalidImport { path, line: 0, column: 0, .. } if path == "$.expires_at_ms.\"nobody\""),
        "{e}"
    );
    assert!(engine.get("another").is_err(), "nothing was written");
}

/// A small one, which is a commit, and a large one, which goes into tables past the log.
fn a_transaction_that_read_what_an_import_changed_fails(on: &dyn Fixture) {
    let engine = on.engine();
    for size in [1, 100_000] {
        engine.set("read", b"before").expect("set");
        let mut changed = engine.begin_tx().expect("begin_tx");
        assert_eq!(changed.get("read").expect("get"), b"before");
        let mut untouched = engine.begin_tx().expect("begin_tx");
        assert!(matches!(untouched.get("other"), Err(Error::KeyNotFound)));
        let document = format!("{{\"kv\":{{\"read\":\"{}\"}}}}", "x".repeat(size));
        import(&*engine, &document).expect("import");
        assert_eq!(changed.get("read").expect("it still sees what it saw"), b"before");
        changed.set("written", b"too late").expect("set");
        let e = changed.commit().expect_err("what it read has changed");
        assert!(matches!(e, Error::Conflict), "{e}");
        untouched.set("written too", b"").expect("set");
        untouched.commit().expect("what it read has not changed");
        assert!(engine.get("written").is_err());
        assert_eq!(engine.get("read").expect("get").len(), size);
    }
}

fn after_close_there_is_neither(on: &dyn Fixture) {
    let engine = on.engine();
    fill(&*engine);
    engine.close().expect("close");
    assert!(matches!(engine.export(&mut Vec::new()), Err(Error::Closed)));
    assert!(matches!(engine.export_data(), Err(Error::Closed)));
    assert!(matches!(import(&*engine, "{}"), Err(Error::Closed)));
    assert!(matches!(engine.import_data(&ExportData::default()), Err(Error::Closed)));
}

fn times_go_along_to_the_millisecond(on: &dyn Fixture) {
    let engine = on.engine();
    on.set_now_ms(1_000_000);
    engine.set_service("web", b"{}", Duration::from_millis(1500)).expect("set_service");
    let document = exported(&*engine);
    assert!(document.ends_with("\"expires_at_ms\":{\n\"web\":1001500\n}}\n"), "{document}");
    engine.delete_service("web").expect("delete_service");
    on.set_now_ms(1_001_499);
    assert_eq!(counts(import(&*engine, &document).expect("import")), [0, 1, 0]);
    assert_eq!(exported(&*engine), document);
    assert_eq!(engine.get_service("web").expect("alive"), b"{}");
    on.set_now_ms(1_001_500);
    assert!(matches!(engine.get_service("web"), Err(Error::ServiceExpired)));
    assert!(!exported(&*engine).contains("web"), "what has expired is left out");
}

fn what_has_expired_is_left_out_and_counted(on: &dyn Fixture) {
    let engine = on.engine();
    on.set_now_ms(1_000_000);
    let document = "{\"expires_at_ms\":{\"old\":1000000,\"older\":0,\"new\":1000001},\
        \"services\":{\"new\":1,\"old\":2,\"older\":3,\"eternal\":4},\"kv\":{\"old\":\"a key\"}}";
    assert_eq!(counts(import(&*engine, document).expect("import")), [1, 2, 2]);
    assert_eq!(engine.list_services().expect("list_services"), ["eternal", "new"]);
    assert!(matches!(engine.get_service("old"), Err(Error::ServiceNotFound)));
    on.set_now_ms(u64::MAX);
    assert_eq!(engine.list_services().expect("list_services"), ["eternal"]);
}

fn an_expired_entry_does_not_touch_what_is_there(on: &dyn Fixture) {
    let engine = on.engine();
    on.set_now_ms(1_000_000);
    engine.set_service("web", b"mine", HOUR).expect("set_service");
    let document = "{\"services\":{\"web\":1},\"expires_at_ms\":{\"web\":999999}}";
    assert_eq!(counts(import(&*engine, document).expect("import")), [0, 0, 1]);
    assert_eq!(engine.get_service("web").expect("get_service"), b"mine");
    // Without a time it takes the place of one that had one.
    import(&*engine, "{\"services\":{\"web\":1}}").expect("import");
    on.set_now_ms(u64::MAX);
    assert_eq!(engine.get_service("web").expect("for ever"), b"1");
}

/// What a document says of time is nothing that a reader has seen: when the clock steps back, what is
/// there is as alive as it was.
fn a_document_does_not_move_time(on: &dyn Fixture) {
    let engine = on.engine();
    on.set_now_ms(1_000_000);
    engine.set_service("web", b"{}", Duration::from_millis(500)).expect("set_service");
    on.set_now_ms(2_000_000);
    let old = "{\"services\":{\"old\":1},\"expires_at_ms\":{\"old\":1999999}}";
    assert_eq!(counts(import(&*engine, old).expect("import")), [0, 0, 1]);
    let wrong = "{\"services\":{\"old\":1},\"expires_at_ms\":{\"old\":1999999,\"z\":1}}";
    import(&*engine, wrong).expect_err("refused");
    on.set_now_ms(1_000_400);
    assert_eq!(engine.get_service("web").expect("alive"), b"{}");
}
