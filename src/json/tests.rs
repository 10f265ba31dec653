//! What goes out comes back, and what is not an export is refused.

use super::*;
use crate::error::Error;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn written(data: &ExportData) -> Vec<u8> {
    let mut document = Vec::new();
    let mut writer = Writer::new(&mut document);
    data.give(&mut writer).expect("in memory");
    let report = writer.finish().expect("in memory");
    let counts = [data.kv.len(), data.services.len(), document.len()].map(|n| n as u64);
    assert_eq!([report.kv, report.services, report.bytes], counts);
    document
}

fn taken(document: &[u8]) -> Result<ExportData> {
    let mut data = ExportData::default();
    read(&mut &*document, &mut data).map(|()| data)
}

/// The place and the reason why `document` is refused.
fn refused(document: &str) -> String {
    match taken(document.as_bytes()) {
        Err(Error::InvalidImport { path, line, column, detail }) => {
            format!("{path} {line}:{column} {detail}")
        }
        other => panic!("{document}: {other:?}"),
    }
}

fn sample() -> ExportData {
    let mut data = ExportData::default();
    for (key, value) in [
        ("", &b""[..]),
        ("config/host", b"10.0.0.1"),
        ("\"\\\u{1}\n\u{10ffff}", b"\x08\x0c\r\t\x1f\x7f\"\\/"),
        ("raw", b"\xff"),
    ] {
        data.kv.insert(key.to_owned(), value.to_owned());
    }
    for (name, bytes) in [("web", &b"{\"port\": 8080}"[..]), ("own", b"not JSON"), ("", b"null")] {
        data.services.insert(name.to_owned(), bytes.to_owned());
    }
    data.expires_at_ms.insert("web".to_owned(), u64::MAX - 1);
    data
}

const DOCUMENT: &str = r#"{"kv":{
"":"",
"\"\\\u0001\n<MAX>":"\b\f\r\t\u001f<DEL>\"\\/",
"config/host":"10.0.0.1",
"raw":{"$base64":"/w=="}
},
"services":{
"":null,
"own":{"$base64":"bm90IEpTT04="},
"web":{"port": 8080}
},
"expires_at_ms":{
"web":18446744073709551614
}}
"#;

#[test]
fn the_document_to_the_byte() {
    let text = String::from_utf8(written(&sample())).expect("UTF-8");
    // These stand as they are, and could not be seen in the source.
    assert_eq!(text, DOCUMENT.replace("<MAX>", "\u{10ffff}").replace("<DEL>", "\u{7f}"));
    assert_eq!(taken(text.as_bytes()).expect("it is an export"), sample());
    let only_expiries =
        ExportData { kv: Default::default(), services: Default::default(), ..sample() };
    assert_eq!(
        String::from_utf8(written(&only_expiries)).expect("UTF-8"),
        "{\"kv\":{},\n\"services\":{},\n\"expires_at_ms\":{\n\"web\":18446744073709551614\n}}\n"
    );
}

#[test]
fn members_may_be_missing_and_come_in_any_order() {
    assert_eq!(taken(b" {} ").expect("an export"), ExportData::default());
    let text = "{\"expires_at_ms\":{\"a\":1},\"services\":{\"b\": [ 1.50 ] ,\"a\":{}},\"kv\":{\"k\":\"v\"}}";
    let data = taken(text.as_bytes()).expect("an export");
    assert_eq!(data.services["b"], b"[ 1.50 ]");
    assert_eq!((data.services.len(), data.kv.len(), data.expires_at_ms["a"]), (2, 1, 1));
    // Of one name the later holds.
    let data = taken(b"{\"kv\":{\"k\":\"1\",\"k\":{\"$base64\":\"Mg==\"}}}").expect("an export");
    assert_eq!(data.kv["k"], b"2");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let values = "expected a string or {\"$base64\": ...}, found";
    for (document, told) in [
        ("", "$ 1:0 EOF"),
        ("[]", "$ 1:1 invalid type: sequence, expected an export"),
        ("{}{}", "$ 1:3 trailing characters"),
        ("{\"kv\":{}", "$ 1:8 EOF"),
        ("{\"service\":{}}", "$.\"service\" 1:11 no member of an export"),
        ("{\"kv\":{},\n\"kv\":{}}", "$.\"kv\" 2:5 the document has this member twice"),
        ("{\"kv\":null}", "$.kv 1:10 invalid type: null, expected an object"),
        (
            "{\"kv\":{\"a\":\"\",\n\"config/host\":5}}",
            &format!("$.kv.\"config/host\" 2:16 {values} a number"),
        ),
        ("{\"kv\":{\"a\":-5}}", &format!("$.kv.\"a\" 1:14 {values} a number")),
        ("{\"kv\":{\"a\":0.5}}", &format!("$.kv.\"a\" 1:15 {values} a number")),
        ("{\"kv\":{\"a\":true}}", &format!("$.kv.\"a\" 1:15 {values} a boolean")),
        ("{\"kv\":{\"a\":null}}", &format!("$.kv.\"a\" 1:15 {values} null")),
        ("{\"kv\":{\"a\":[\"b\"]}}", &format!("$.kv.\"a\" 1:13 {values} an array")),
        ("{\"kv\":{\"a\":{}}}", &format!("$.kv.\"a\" 1:13 {values} an empty object")),
        ("{\"kv\":{\"a\":{\"b\":\"\"}}}", &format!("$.kv.\"a\" 1:16 {values} another object")),
        (
            "{\"kv\":{\"a\":{\"$base64\":\"\",\"b\":\"\"}}}",
            &format!("$.kv.\"a\" 1:29 {values} an object with more in it"),
        ),
        ("{\"kv\":{\"a\":{\"$base64\":\"YQ\"}}}", "$.kv.\"a\" 1:26 expected base64 under $base64"),
        (
            "{\"kv\":{\"a\":{\"$base64\":\"YR==\"}}}",
            "$.kv.\"a\" 1:28 expected base64 under $base64",
        ),
        (
            "{\"kv\":{\"a\":{\"$base64\":5}}}",
            "$.kv.\"a\" 1:24 invalid type: integer `5`, expected a string of base64",
        ),
        (
            "{\"services\":{\"a\":{\"$base64\":\"_-\"}}}",
            "$.services.\"a\" 1:34 expected base64 under $base64",
        ),
        (
            "{\"services\":{\"a\":{\"\\u0024base64\":[]}}}",
            "$.services.\"a\" 1:37 invalid type: sequence, expected a string of base64 under $base64",
        ),
        ("{\"services\":{\"a\":{]}}", "$.services.\"a\" 1:19 key must be a string"),
        ("{\"services\":{\"a\":01}}", "$.services.\"a\" 1:19 invalid number"),
        ("{\"services\":[]}", "$.services 1:13 invalid type: sequence, expected an object"),
        (
            "{\"expires_at_ms\":{\"a\":-1}}",
            "$.expires_at_ms.\"a\" 1:25 invalid type: integer `-1`, expected milliseconds",
        ),
        (
            "{\"expires_at_ms\":{\"a\":1.0}}",
            "$.expires_at_ms.\"a\" 1:26 invalid type: floating point `1.0`, expected milliseconds",
        ),
        (
            "{\"expires_at_ms\":{\"a\":18446744073709551616}}",
            "$.expires_at_ms.\"a\" 1:43 invalid type: floating point",
        ),
        ("{\"expires_at_ms\":{\"a\":\"1\"}}", "$.expires_at_ms.\"a\" 1:25 invalid type: string"),
        ("{\"kv\":{\"a\":\"\\ud800\"}}", "$.kv.\"a\" 1:19 "),
        ("{\"kv\":{\"a\" \"b\"}}", "$.kv.\"a\" 1:12 expected `:`"),
        ("{\"kv\":{\"a\":\"b\" \"c\":\"d\"}}", "$.kv 1:16 expected `,` or `}`"),
        ("{\"kv\":{\"a\":\"b\",}}", "$.kv 1:16 trailing comma"),
        ("{\"kv\":{1:\"b\"}}", "$.kv 1:8 key must be a string"),
        ("\u{feff}{}", "$ 1:1 expected value"),
    ] {
        let found = refused(document);
        assert!(found.starts_with(told), "{document}: {found}");
    }
}

#[test]
fn what_is_not_utf_8_is_refused() {
    let e = taken(b"{\"kv\":{\"a\":\"\xff\"}}").expect_err("not UTF-8");
    assert!(matches!(e, Error::InvalidImport { path, .. } if path == "$.kv.\"a\""));
}

#[test]
fn each_beginning_of_a_document_is_refused() {
    let document = written(&sample());
    let end = document.len() - 1; // The line break at the end means nothing.
    for at in 0..end {
        assert!(taken(&document[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(taken(&document[..end]).expect("whole"), sample());
    for more in ["{}", "x", "\0", ",", "}"] {
        let longer = [&document, more.as_bytes()].concat();
        assert!(taken(&longer).is_err(), "{more} behind it");
    }
}

// Nothing recurses: a stack would be gone long before.
#[test]
fn nesting_is_no_danger() {
    let deep = "[".repeat(1_000_000);
    refused(&deep);
    refused(&format!("{{\"kv\":{{\"a\":{deep}"));
    refused(&format!("{{\"services\":{{\"a\":{deep}"));
    let closed = format!("{deep}{}", "]".repeat(1_000_000));
    let document = format!("{{\"services\":{{\"a\":{closed}}}}}");
    let data = taken(document.as_bytes()).expect("it is JSON");
    assert_eq!(data.services["a"], closed.as_bytes());
    assert_eq!(taken(&written(&data)).expect("it is an export"), data);
}

#[test]
fn what_a_sink_refuses_is_told_with_its_place() {
    struct Refuses;
    impl Sink for Refuses {
        fn kv(&mut self, _: &str, value: &[u8]) -> Result<()> {
            let size_bytes = value.len() as u64;
            Err(Error::TooLarge { what: "value", size_bytes, limit_bytes: 0, path: None })
        }
        fn service(&mut self, _: &str, _: &[u8]) -> Result<()> {
            Err(Error::Closed)
        }
        fn expiry(&mut self, _: &str, _: u64) -> Result<()> {
            Ok(())
        }
    }
    let told = |document: &str| {
        read(&mut document.as_bytes(), &mut Refuses).expect_err("refused").to_string()
    };
    let text = told("{\"kv\":{\n\"a\":\"bc\"}}");
    assert_eq!(
        text,
        "$.kv.\"a\" (line 2, column 8): value of 2 bytes is too large, the limit is 0 bytes"
    );
    let text = told("{\"kv\":{\n\"a\":{\"$base64\":\"YQ==\"}}}");
    assert!(text.starts_with("$.kv.\"a\" (line 2, column "), "{text}");
    assert_eq!(told("{\"services\":{\"a\":1}}"), Error::Closed.to_string());
    let long = "n".repeat(300);
    let text = told(&format!("{{\"kv\":{{\"{long}\":\"\"}}}}"));
    assert!(text.contains(&format!("{}…\"", "n".repeat(200))), "{text}");
    let data = ExportData { kv: [("a".to_owned(), vec![0])].into(), ..ExportData::default() };
    let text = data.give(&mut Refuses).expect_err("refused").to_string();
    assert!(text.starts_with("$.kv.\"a\": value of 1 bytes"), "{text}");
}

#[test]
fn what_reading_and_writing_fail_with_is_told() {
    struct Fails;
    impl std::io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    impl std::io::Write for Fails {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let e = read(&mut Fails, &mut ExportData::default()).expect_err("it fails");
    assert!(matches!(&e, Error::Io { op: "read", .. }) && e.to_string().contains("gone"), "{e}");
    let e = Writer::new(&mut Fails).finish().expect_err("it fails");
    assert!(matches!(&e, Error::Io { op: "write", .. }) && e.to_string().contains("gone"), "{e}");
}

/// Bytes, some of them JSON, some nearly.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let json = prop_oneof![
        Just("{\"$base64\":"),
        Just("\"YQ==\""),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just(" "),
        Just("\n"),
        Just("1e999"),
        Just("-0.10"),
        Just("null"),
        Just("\"\\ud83d"),
        Just("\\ude00\""),
        Just("\"a\""),
        Just("\"\\u0000\""),
        Just("\"\u{10ffff}\""),
        Just("\\"),
        Just("\""),
    ];
    prop_oneof![
        vec(any::<u8>(), 0..40),
        any::<String>().prop_map(String::into_bytes),
        vec(json, 0..8).prop_map(|parts| parts.concat().into_bytes()),
        vec(any::<u8>(), 60_000..150_000),
        Just(b"{\"$base64\":\"YQ==\"}".to_vec()),
    ]
}

fn exports() -> impl Strategy<Value = ExportData> {
    let all = (
        btree_map(any::<String>(), bytes(), 0..6),
        btree_map(any::<String>(), bytes(), 0..6),
        btree_map(any::<String>(), any::<u64>(), 0..4),
    );
    all.prop_map(|(kv, services, expires_at_ms)| ExportData { kv, services, expires_at_ms })
}

proptest! {
    #[test]
    fn whatever_goes_out_comes_back(data in exports()) {
        let document = written(&data);
        prop_assert_eq!(&taken(&document).expect("it is an export"), &data);
        prop_assert_eq!(written(&taken(&document).expect("it is an export")), &document[..]);
        // Others can read it, too, and see the same strings.
        let seen: serde_json::Value = serde_json::from_slice(&document.clone()).unwrap_or_default();
        for (key, value) in &data.kv {
            let text = seen["kv"][key].as_str();
            if let (Ok(value), false) = (str::from_utf8(value), seen.is_null()) {
                prop_assert_eq!(text, Some(value));
            }
        }
        // As values it is the same document, but for line breaks.
        let values = serde_json::to_string(&data).expect("it is JSON");
        let again: ExportData = serde_json::from_str(&values).expect("it is an export");
        prop_assert_eq!(again, data);
        prop_assert_eq!(taken(values.as_bytes()).expect("it is an export"), taken(&document).expect("it is an export"));
    }

    #[test]
    fn any_document_is_read_or_refused(parts in vec(prop_oneof![
        Just("{\"kv\":{"), Just("\"services\":{"), Just("\"expires_at_ms\":{"), Just("}"), Just(","),
        Just("\"a\":"), Just("\"b\""), Just("1"), Just("{\"$base64\":\"YQ==\"}"), Just("{"), Just(" "),
    ], 0..20)) {
        let document = parts.concat();
        match taken(document.as_bytes()) {
            Ok(data) => prop_assert_eq!(taken(&written(&data)).expect("it is an export"), data),
            Err(e) => {
                let is_it = matches!(e, Error::InvalidImport { .. });
                prop_assert!(is_it, "{}", e);
            }
        }
    }
}
