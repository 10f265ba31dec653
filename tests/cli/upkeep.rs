//! `stats`, `compact` and `gc`.

use super::fixture::Shell;
use serde_json::json;

#[test]
fn what_was_overwritten_is_given_back() {
    let shell = Shell::new();
    for round in 0..3 {
        let lines: String = (0..50)
            .map(|n| {
                let value = (0..3000_u32).map(|i| {
                    char::from(b'a' + u8::try_from((i * i + n * 7 + round) % 26).expect("small"))
                });
                format!("set\t{n}\t{}\n", value.collect::<String>())
            })
            .collect();
        shell.feed(&["batch"], lines.as_bytes()).text();
    }
    let before = shell.run(&["stats", "--json"]).json();
    assert_eq!(before["last_seq"], 150);
    let compacted = shell.run(&["compact", "--json"]).json();
    assert_eq!(compacted["tables"], 1, "{compacted}");
    let after = shell.run(&["stats", "--json"]).json();
    let entries: u64 = after["levels"]
        .as_array()
        .expect("levels")
        .iter()
        .filter_map(|level| level["entries"].as_u64())
        .sum();
    assert_eq!(entries, 50);
    let values =
        |stats: &serde_json::Value, name: &str| stats["values"][name].as_u64().expect("a number");
    assert!(values(&after, "stored_bytes") >= values(&after, "live_bytes"));
    shell.run(&["gc"]).text();
    let last = shell.run(&["stats", "--json"]).json();
    assert_eq!(values(&last, "stored_bytes"), values(&last, "live_bytes"), "all garbage is gone");
    assert_eq!(shell.run(&["list", "--count"]).text(), "50\n");
}

#[test]
fn stats_are_a_table_and_a_document() {
    let shell = Shell::new();
    shell.run(&["set", "a", "1"]).text();
    let text = shell.run(&["stats"]).text();
    for line in
        ["level  tables", "large values", "1 batches not in tables yet", "last sequence   1"]
    {
        assert!(text.contains(line), "{text}");
    }
    let document = shell.run(&["stats", "--json"]).json();
    assert_eq!(
        (&document["log"]["batches"], &document["log"]["cut_at"]),
        (&json!(1), &json!(null))
    );
    assert_eq!(document["levels"].as_array().map(Vec::len), Some(7));
}

#[test]
fn a_part_of_the_keys_is_compacted() {
    let shell = Shell::new();
    for key in ["a", "b"] {
        shell.run(&["set", key, "1"]).text();
        shell.run(&["delete", key]).text();
    }
    shell.run(&["compact", "--from", "b"]).text();
    shell.run(&["compact"]).text();
    let document = shell.run(&["stats", "--json"]).json();
    assert_eq!(document["tables"], 0, "{document}");
}
