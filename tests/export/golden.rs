//! Files in `tests/golden`: they load into every engine, and what is exported then is known to the byte.
//!
//! `reference.json` is the example of the reference, `unordered.json` what Konsul and other
//! programs write: any order, without spaces, escapes that we would not make, a key twice. `own.json`
//! has everything that our own exports have that others do not.

use crate::disk::{disk, exported, import, open};
use esker::{Engine, ExportData, MemoryEngine};

const REFERENCE: &str = include_str!("../golden/reference.json");
const UNORDERED: &str = include_str!("../golden/unordered.json");
const OWN: &str = include_str!("../golden/own.json");

/// Each file, and what is exported after its import.
const FILES: [(&str, &str); 3] = [
    (REFERENCE, include_str!("../golden/reference.export.json")),
    (UNORDERED, include_str!("../golden/unordered.export.json")),
    (OWN, OWN),
];

#[test]
fn they_load_and_come_out_as_ever() {
    for (document, expected) in FILES {
        let memory = MemoryEngine::new();
        let lsm = open(&disk());
        let reports = [&memory as &dyn Engine, &lsm].map(|engine| {
            let report = import(engine, document).expect("import");
            assert_eq!(exported(engine), expected);
            assert_eq!(exported(engine), expected, "once more");
            report
        });
        assert_eq!(reports[0], reports[1]);
        assert_eq!(lsm.export_data().expect("export"), memory.export_data().expect("export"));
        // The other's export, again.
        let again = open(&disk());
        import(&again, &exported(&memory)).expect("import");
        assert_eq!(exported(&again), expected);
        // By way of values.
        let data: ExportData = serde_json::from_str(document).expect("an export");
        let by_values = open(&disk());
        assert_eq!(by_values.import_data(&data).expect("import"), reports[0]);
        assert_eq!(exported(&by_values), expected);
        let compact = serde_json::to_string(&data).expect("JSON");
        let by_text = open(&disk());
        import(&by_text, &compact).expect("import");
        assert_eq!(exported(&by_text), expected);
    }
}

#[test]
fn what_they_hold_is_what_was_meant() {
    let engine = open(&disk());
    import(&engine, UNORDERED).expect("import");
    assert_eq!(engine.get("a/b").expect("get"), b"twice: the later");
    assert_eq!(engine.get("a").expect("get"), b"<b>&amp;</b> & <escaped>");
    assert_eq!(engine.get("ключ").expect("get"), "значение".as_bytes());
    let data = engine.get_service("api").expect("get_service");
    assert_eq!(data, br#"{"name":"api","meta":{"weight":1.50,"id":12345678901234567890}}"#);
    import(&engine, OWN).expect("import");
    assert_eq!(engine.get("bytes").expect("get"), [0, 0xff, 0x80]);
    assert_eq!(engine.get("looks like bytes").expect("get"), br#"{"$base64":"AP+A"}"#);
    let services: [(&str, &[u8]); 8] = [
        ("array", b"[1,2.50,1e999,-0]"),
        ("bytes", &[0, 0xff, 0x80]),
        ("half a pair", br#"{"a":"\ud800"}"#),
        ("looks like bytes", br#"{"$base64":"AP+A"}"#),
        ("nothing", b""),
        ("spaces", b" {}\n"),
        ("string", br#""text""#),
        ("twice", br#"{"a":1,"a":2}"#),
    ];
    for (name, data) in services {
        assert_eq!(engine.get_service(name).expect("get_service"), data, "{name}");
    }
    assert_eq!(engine.get_service("deep").expect("get_service").len(), 202);
}

/// Others read what we write: what it says is the same without knowing us.
#[test]
fn an_export_is_plain_json() {
    let engine = open(&disk());
    import(&engine, REFERENCE).expect("import");
    let ours: serde_json::Value = serde_json::from_str(&exported(&engine)).expect("JSON");
    let reference: serde_json::Value = serde_json::from_str(REFERENCE).expect("JSON");
    assert_eq!(ours, reference);
}
