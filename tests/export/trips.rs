//! Out of one engine and into another: everything arrives, whatever it is, in whatever order it stands.

use crate::disk::{disk, exported, import, open};
use esker::{Engine, ExportData, MemoryEngine};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..40_u8).prop_map(|n| format!("k{n}")),
        any::<String>(),
        // `kv:` and `svc:` are no part of it.
        Just("svc:k".to_owned()),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(any::<u8>(), 0..30),
        2 => any::<String>().prop_map(String::into_bytes),
        2 => (any::<u8>(), 0..4000_usize).prop_map(|(byte, size)| vec![byte; size]),
        1 => Just(b"{\"$base64\":\"YQ==\"}".to_vec()),
        1 => Just(b"{\"a\": [1.0, {\"b\": \"\\u00e9\"}]}".to_vec()),
    ]
}

/// A document in the order of its lists, which need not be any.
fn document(
    kv: &[(String, Vec<u8>)],
    services: &[(String, Vec<u8>, Option<u64>)],
    turn: usize,
) -> String {
    let base64 = |bytes: &[u8]| {
        let one = ExportData {
            services: [(String::new(), bytes.to_vec())].into(),
            ..ExportData::default()
        };
        let one = serde_json::to_string(&one).expect("JSON");
        one.strip_prefix("{\"kv\":{},\"services\":{\"\":")
            .and_then(|o| o.strip_suffix("}}"))
            .expect("one")
            .to_owned()
    };
    let text = |bytes: &[u8]| match str::from_utf8(bytes) {
        Ok(text) => json!(text).to_string(),
        Err(_) => base64(bytes),
    };
    let kv: Vec<_> = kv.iter().map(|(k, v)| format!("{}:{}", json!(k), text(v))).collect();
    let expiries =
        services.iter().filter_map(|(name, _, at)| at.map(|at| format!("{}:{at}", json!(name))));
    let expiries: Vec<_> = expiries.collect();
    let services: Vec<_> =
        services.iter().map(|(n, d, _)| format!("{}:{}", json!(n), base64(d))).collect();
    let mut members = [
        format!("\"kv\":{{{}}}", kv.join(",")),
        format!("\"services\":{{{}}}", services.join(",")),
        format!("\"expires_at_ms\":{{{}}}", expiries.join(",")),
    ];
    members.rotate_left(turn % 3);
    if turn >= 3 {
        members.reverse();
    }
    format!("{{{}}}", members.join(" , "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Into both engines, over what is there, again and again: they hold the same, and so does
    /// whoever imports what they export.
    #[test]
    fn whatever_it_is_and_in_whatever_order(
        imports in vec((
            vec((key(), bytes()), 0..40),
            vec((key(), bytes(), proptest::option::of(0..9_u64)), 0..20),
            0..6_usize,
        ), 1..4),
    ) {
        let lsm = open(&disk());
        let memory = MemoryEngine::new();
        let (mut kv, mut services) = (BTreeMap::new(), BTreeMap::new());
        for (n, (entries, new, turn)) in (0..).zip(imports) {
            // An expiry of a name stands for the last service of that name.
            let mut last: BTreeMap<String, (Vec<u8>, Option<u64>)> = BTreeMap::new();
            let expiry = |soon: u64| if soon == 0 { 1 } else { u64::MAX - soon };
            for (name, data, at) in &new {
                last.insert(name.clone(), (data.clone(), at.map(expiry)));
            }
            let listed: Vec<_> = new
                .iter()
                .map(|(name, data, _)| (name.clone(), data.clone(), last[name].1))
                .collect();
            let document = document(&entries, &listed, turn);
            let report = import(&lsm, &document).expect("import");
            prop_assert_eq!(report, import(&memory, &document).expect("import"));
            let expired = last.values().filter(|(_, at)| *at == Some(1)).count();
            prop_assert_eq!(report.expired, expired as u64);
            prop_assert_eq!(report.services, (last.len() - expired) as u64);
            kv.extend(entries);
            services.extend(last.into_iter().filter(|(_, (_, at))| *at != Some(1)));
            if n == 0 {
                // The next goes over tables as well.
                lsm.db().flush().expect("flush");
            }
        }
        let data = lsm.export_data().expect("export");
        prop_assert_eq!(&data.kv, &kv);
        let alive = services.iter().map(|(name, (data, _))| (name.clone(), data.clone()));
        prop_assert_eq!(&data.services, &alive.collect());
        let expiries = services.iter().filter_map(|(name, (_, at))| Some((name.clone(), (*at)?)));
        prop_assert_eq!(&data.expires_at_ms, &expiries.collect());
        let document = exported(&lsm);
        prop_assert_eq!(&exported(&memory), &document);
        for engine in [&open(&disk()) as &dyn Engine, &MemoryEngine::new()] {
            import(engine, &document).expect("import");
            prop_assert_eq!(&exported(engine), &document);
            prop_assert_eq!(engine.export_data().expect("export"), data.clone());
        }
        lsm.db().verify().expect("sound");
    }
}

#[test]
fn what_stands_in_memory_log_tables_and_segments_goes_along() {
    let disk = disk();
    let engine = open(&disk);
    let large = vec![b'x'; 5000];
    engine.set("deep", b"1").expect("set");
    engine.set("gone", b"1").expect("set");
    engine.set("large", &large).expect("set");
    engine.db().compact().expect("compacted");
    engine.set("flushed", b"2").expect("set");
    engine.delete("gone").expect("delete");
    engine.db().flush().expect("flushed");
    engine.set("deep", b"3").expect("set");
    engine.set_service("web", b"{}", HOUR).expect("set_service");
    // What is no string is not part of what the engine holds.
    engine.db().set(b"kv:\xff", "raw").expect("set");
    engine.db().set("svc:for ever", "[]").expect("set");
    engine.db().set("other", "raw").expect("set");
    let data = engine.export_data().expect("export");
    let keys: Vec<_> = data.kv.keys().map(String::as_str).collect();
    assert_eq!(keys, ["deep", "flushed", "large"]);
    assert_eq!((&data.kv["deep"][..], data.kv["large"].len()), (&b"3"[..], 5000));
    assert_eq!(data.services.keys().collect::<Vec<_>>(), ["for ever", "web"]);
    assert_eq!(data.expires_at_ms.keys().collect::<Vec<_>>(), ["web"]);
    let other = MemoryEngine::with_clock(disk.sim_clock());
    import(&other, &exported(&engine)).expect("import");
    assert_eq!(exported(&other), exported(&engine));
}
