//! Keys, values and services.

use super::fixture::Shell;
use esker::{Db, Engine, LsmEngine, Options};
use serde_json::json;

#[test]
fn what_is_set_is_there() {
    let shell = Shell::new();
    assert_eq!(shell.run(&["set", "config/host", "10.0.0.1"]).text(), "");
    assert_eq!(shell.run(&["get", "config/host"]).bytes(), b"10.0.0.1");
    assert_eq!(
        shell.run(&["get", "config/host", "--json"]).json(),
        json!({ "key": "config/host", "value": "10.0.0.1" })
    );
    shell.run(&["set", "config/host", ""]).text();
    assert_eq!(shell.run(&["get", "config/host"]).bytes(), b"");
    shell.run(&["delete", "config/host", "never/there"]).text();
    assert_eq!(
        shell.run(&["get", "config/host"]).fails(1),
        "key not found (check the key name, create it if needed)"
    );
}

#[test]
fn the_keys_are_those_of_the_engine() {
    let shell = Shell::new();
    shell.run(&["set", "a", "1"]).text();
    shell.run(&["set", "kv:a", "2"]).text();
    shell.run(&["service", "set", "a", "3"]).text();
    let engine = LsmEngine::open(shell.data(), Options::default()).expect("opens");
    assert_eq!(engine.list("").expect("listed"), ["a", "kv:a"]);
    assert_eq!(engine.get("kv:a").expect("there"), b"2");
    assert_eq!(engine.get_service("a").expect("there"), b"3");
    engine.db().set([0xff], "4").expect("set");
    drop(engine);
    assert_eq!(shell.run(&["list"]).text(), "a\nkv:a\n");
    assert_eq!(shell.run(&["list", "--raw-keys"]).text(), "kv:a\nkv:kv:a\nsvc:a\n\\xff\n");
    assert_eq!(shell.run(&["get", "--raw-keys", "svc:a"]).bytes(), b"3");
    assert_eq!(shell.run(&["get", "--raw-keys", "\\xff"]).bytes(), b"4");
    let document = shell.run(&["list", "--raw-keys", "--reverse", "-n1", "--json"]).json();
    assert_eq!(document, json!({ "key": { "$base64": "/w==" } }));
    let refused = shell.run(&["get", "\\xff"]).fails(2);
    assert!(refused.contains("not UTF-8") && refused.contains("--raw-keys"), "{refused}");
    shell.run(&["delete", "--raw-keys", "\\xff", "svc:a"]).text();
    assert_eq!(shell.run(&["list", "--raw-keys"]).text(), "kv:a\nkv:kv:a\n");
}

// A key under `kv:` that no engine can name, put there by a program of its own.
#[test]
fn what_is_no_key_of_an_engine_is_not_listed() {
    let shell = Shell::new();
    let db = Db::open(shell.data(), Options::default()).expect("opens");
    db.set(b"kv:a\xff", "1").expect("set");
    db.set(b"kv:b", "1").expect("set");
    drop(db);
    assert_eq!(shell.run(&["list"]).text(), "b\n");
    assert_eq!(shell.run(&["scan", "--limit", "1"]).text(), "b\t1\n");
    assert_eq!(shell.run(&["list", "--count"]).text(), "1\n");
}

#[test]
fn values_of_any_bytes_go_in_and_out() {
    let shell = Shell::new();
    let value: Vec<u8> =
        (0..10_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for value in [&value[..], b"", b"\n", b"\r\n\0\xff", b"ends\n\n"] {
        shell.feed(&["set", "fed"], value).text();
        assert_eq!(shell.run(&["get", "fed"]).bytes(), value);
        shell.write("value", value);
        shell.run(&["set", "filed", "--file", "value"]).text();
        assert_eq!(shell.run(&["get", "filed"]).bytes(), value);
    }
}

#[test]
fn keys_of_any_text_go_both_ways() {
    let shell = Shell::new();
    let keys = [
        "",
        " ",
        "a b",
        "tab\\there",
        "line\\nbreak",
        "back\\\\slash",
        "nul\\0",
        "ü/𝄞",
        "\\u{202e}",
        "-n",
        "--help",
    ];
    for key in keys {
        shell.run(&["set", "--", key, key]).text();
    }
    let listed = shell.run(&["list"]).text();
    let mut listed: Vec<&str> = listed.split_terminator('\n').collect();
    for key in &listed {
        assert_eq!(
            shell.run(&["get", "--", key]).text(),
            *key,
            "what is printed names the key again"
        );
    }
    listed.sort_unstable();
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    assert_eq!(listed, keys);
    let wrong = shell.run(&["get", "a\\q"]).fails(2);
    assert!(wrong.contains("at byte 1") && wrong.contains("\\xNN"), "{wrong}");
}

#[test]
fn keys_are_selected() {
    let shell = Shell::new();
    let lines: String =
        ["a/1", "a/2", "b/1", "b/2", "c"].map(|key| format!("set\t{key}\tv {key}\n")).concat();
    shell.feed(&["batch"], lines.as_bytes()).text();
    let list = |arguments: &[&str]| {
        let text = shell.run(&[&["list"], arguments].concat()).text();
        text.split_terminator('\n').map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(list(&[]), ["a/1", "a/2", "b/1", "b/2", "c"]);
    assert_eq!(list(&["b/"]), ["b/1", "b/2"]);
    assert_eq!(list(&["nothing"]), Vec::<String>::new());
    assert_eq!(list(&["--from", "a/2", "--to", "b/2"]), ["a/2", "b/1"]);
    assert_eq!(list(&["--from", "b/2"]), ["b/2", "c"]);
    assert_eq!(list(&["--to", "a/2"]), ["a/1"]);
    assert_eq!(list(&["--from", "c", "--to", "a"]), Vec::<String>::new());
    assert_eq!(list(&["--reverse", "--limit", "2"]), ["c", "b/2"]);
    assert_eq!(list(&["-n", "0"]), Vec::<String>::new());
    assert_eq!(list(&["a/", "--count"]), ["2"]);
    assert_eq!(shell.run(&["list", "--count", "--json"]).json(), json!({ "count": 5 }));
    assert_eq!(shell.run(&["scan", "b/", "-r"]).text(), "b/2\tv b/2\nb/1\tv b/1\n");
    assert_eq!(
        shell.run(&["scan", "--json", "--from", "c"]).json(),
        json!({ "key": "c", "value": "v c" })
    );
    shell.run(&["list", "b/", "--from", "a"]).fails_with_usage();
}

#[test]
fn keys_expire() {
    let shell = Shell::new();
    shell.run(&["set", "long", "1", "--ttl", "1h"]).text();
    shell.run(&["set", "short", "1", "--ttl", "1ms"]).text();
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(shell.run(&["list"]).text(), "long\n");
    shell.run(&["get", "short"]).fails(1);
    assert!(shell.run(&["set", "a", "1", "--ttl", "0s"]).fails(2).contains("time to live"));
    shell.run(&["set", "a", "1", "--ttl", "soon"]).fails_with_usage();
}

#[test]
fn services_live_for_a_time() {
    let shell = Shell::new();
    shell.run(&["service", "set", "web", "--ttl", "1h", r#"{"port": 8080}"#]).text();
    shell.feed(&["service", "set", "db"], b"\xff\0").text();
    assert_eq!(shell.run(&["service", "get", "web"]).text(), r#"{"port": 8080}"#);
    assert_eq!(shell.run(&["service", "get", "db"]).bytes(), b"\xff\0");
    assert_eq!(shell.run(&["service", "list"]).text(), "db\nweb\n");
    assert_eq!(
        shell.run(&["--json", "service", "get", "web"]).json(),
        json!({ "name": "web", "data": r#"{"port": 8080}"# })
    );
    assert_eq!(shell.run(&["service", "list", "--json"]).documents()[0], json!({ "name": "db" }));
    let set = shell.run(&["service", "set", "web", "x", "--ttl", "90s", "--json"]).json();
    assert_eq!(set, json!({ "name": "web", "bytes": 1, "ttl_ms": 90_000 }));
    shell.run(&["service", "set", "gone", "x", "--ttl", "1ms"]).text();
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert!(shell.run(&["service", "get", "gone"]).fails(1).starts_with("service expired"));
    assert!(shell.run(&["service", "get", "never"]).fails(1).starts_with("service not found"));
    shell.run(&["service", "delete", "web", "never"]).text();
    assert_eq!(shell.run(&["service", "list"]).text(), "db\n");
}

#[test]
fn a_batch_is_one_commit() {
    let shell = Shell::new();
    shell.run(&["set", "old", "1"]).text();
    let input = concat!(
        "# sets and deletes\n\n",
        "set\tport\t80\\t80\n",
        "{\"set\": \"host\", \"value\": {\"$base64\": \"/w==\"}}\n",
        "{\"set\": \"session\", \"value\": \"1\", \"ttl_ms\": 3600000}\r\n",
        "set\ttwice\t1\nset\ttwice\t2\n",
        "delete\told\n{\"delete\": \"never\"}",
    );
    let document = shell.feed(&["batch", "--json"], input.as_bytes()).json();
    assert_eq!(document, json!({ "operations": 7 }));
    assert_eq!(shell.run(&["list"]).text(), "host\nport\nsession\ntwice\n");
    assert_eq!(shell.run(&["get", "port"]).text(), "80\t80");
    assert_eq!(shell.run(&["get", "host"]).bytes(), b"\xff");
    assert_eq!(shell.run(&["get", "twice"]).text(), "2");
    let log = std::fs::read_dir(shell.data()).expect("listed").flatten().map(|file| file.path());
    let log = log.filter(|path| path.extension().is_some_and(|e| e == "log")).max().expect("a log");
    let log = log.to_str().expect("UTF-8").to_string();
    let records = shell.run(&["inspect", &log, "--json"]).documents();
    assert_eq!(records.iter().filter(|item| item["item"] == "record").count(), 1);
}

#[test]
fn a_batch_with_a_bad_line_writes_nothing() {
    let shell = Shell::new();
    shell.run(&["set", "there", "1"]).text();
    let bad = [
        "set\ta",
        "set\ta\tb\tc",
        "delete\ta\tb",
        "put\ta\tb",
        "set a b",
        "set\t\\q\tb",
        "{\"set\": \"a\"}",
        "{}",
        "{\"delete\": 1}",
        "{\"delete\": \"a\", \"value\": \"b\"}",
        "{\"set\": \"a\", \"value\": \"b\", \"ttl\": 1}",
        "{\"set\": \"a\", \"value\": \"b\", \"ttl_ms\": 0}",
        "{\"set\": \"a\", \"value\": \"b\"",
        "set\t\\xff\tb",
    ];
    for line in bad {
        let input = format!("set\tfirst\t1\n\n{line}\nset\tlast\t1\n");
        let error = shell.feed(&["batch", "--json"], input.as_bytes()).fails_as_json(9);
        assert_eq!((&error["kind"], &error["line"]), (&json!("input"), &json!(3)), "{line}");
        let message = error["message"].as_str().expect("text");
        assert!(
            message.starts_with("line 3 of standard input: ")
                && message.ends_with("nothing was written"),
            "{message}"
        );
    }
    assert_eq!(shell.run(&["list"]).text(), "there\n");
}

impl super::fixture::Ran {
    /// Refused as usage, by clap, which says more than a sentence.
    #[track_caller]
    pub fn fails_with_usage(self) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert!(self.stdout.is_empty() && self.stderr.starts_with("error: "), "{self:?}");
    }
}
