//! `esker bench`.

use super::fixture::{Ran, Shell, names};
use super::pages;
use serde_json::{Value, json};
use std::process::Stdio;

/// So little that it takes no time.
const TINY: &[&str] = &["--scale", "0.0005", "--seconds", "50ms", "--busy-loops", "0", "--quiet"];

fn bench(shell: &Shell, arguments: &[&str]) -> Ran {
    shell.run(&[&["bench"], TINY, arguments].concat())
}

fn document(shell: &Shell, name: &str) -> Value {
    let text = std::fs::read(shell.path(name)).expect("it is there");
    serde_json::from_slice(&text).expect("JSON")
}

fn rows(document: &Value) -> &[Value] {
    document["rows"].as_array().expect("rows")
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// What a measurement must have, in the row of this name.
fn check_measurement(row: &Value) {
    let name = row["name"].as_str().expect("a name");
    let [measured] = row["measurements"].as_array().expect("a list").as_slice() else {
        panic!("{name} was measured once: {row}")
    };
    assert!(number(&measured["figure"]) > 0.0 && number(&measured["operations"]) >= 1.0, "{row}");
    assert!(
        number(&measured["elapsed_ns"]) > 0.0 && number(&measured["disk_bytes"]) > 0.0,
        "{row}"
    );
    let (peak, needed) = (number(&measured["disk_peak_bytes"]), number(&row["space_needed_bytes"]));
    assert!(peak <= needed, "{name} had {peak} bytes on the disk, and was to need {needed}");
    let lengths = ["at_ms", "operations", "disk_bytes", "memory_bytes"]
        .map(|list| measured["series"][list].as_array().expect(list).len());
    assert!(lengths[0] >= 2 && lengths == [lengths[0]; 4], "{name}: {lengths:?}");
    let is_rate = row["unit"] == "per_second" && name != "ingest";
    let latencies = ["writes", "reads", "scans"].map(|kind| &measured[kind]);
    let found: Vec<_> = latencies.iter().filter(|latency| !latency.is_null()).collect();
    assert!(!is_rate || !found.is_empty(), "{name} has no latencies");
    for latency in found {
        let of = |field: &str| number(&latency[field]);
        assert!(of("samples") >= 1.0 && of("p50_ns") <= of("p99_ns"), "{latency}");
        assert!(of("p99_ns") <= of("max_ns") * 1.001, "{latency}");
    }
}

#[test]
fn every_row_runs_and_all_of_it_is_kept_shown_and_removed() {
    let shell = Shell::new();
    let text =
        bench(&shell, &["--rounds", "1", "--out", "run.json", "--report", "run.html"]).text();
    assert_eq!(names(&shell.path("")), ["run.html", "run.json"]);

    let run = document(&shell, "run.json");
    let list = shell.run(&["bench", "--list", "--json"]).json();
    let row_names = |document: &Value| -> Vec<String> {
        rows(document).iter().map(|row| row["name"].as_str().expect("a name").to_string()).collect()
    };
    assert_eq!(row_names(&run), row_names(&list));
    assert!(row_names(&run).len() >= 34, "{}", row_names(&run).len());
    rows(&run).iter().for_each(check_measurement);
    assert_eq!((&run["is_complete"], &run["failures"]), (&json!(true), &json!([])));
    assert_eq!(run["documented"].as_array().expect("a table").len(), 16);
    assert_eq!(run["esker"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(number(&run["machine"]["cores"]) >= 1.0);
    assert!(run["date"].as_str().is_some_and(|date| date.ends_with('Z')), "{}", run["date"]);
    #[cfg(target_os = "linux")]
    assert!(run["machine"]["file_system"]["kind"].is_string(), "{}", run["machine"]);
    // What is read is not changed by having been read: rows that only read write nothing.
    let get = rows(&run).iter().find(|row| row["name"] == "get").expect("get");
    assert_eq!(get["measurements"][0]["write_amplification"], Value::Null);

    for said in ["BatchSet (100)", "set_sync_t8", "times better", "the figures mean nothing"] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    let page = std::fs::read_to_string(shell.path("run.html")).expect("a page");
    assert_eq!(pages::offences(&page), Vec::<String>::new());
    for name in row_names(&run) {
        assert!(page.contains(&format!("<td>{name}</td>")), "{name} is not on the page");
    }
    // The page is a function of the results.
    shell.run(&["bench", "report", "run.json", "again.html"]).text();
    assert_eq!(std::fs::read_to_string(shell.path("again.html")).expect("a page"), page);
}

#[test]
fn settings_reach_the_store_and_the_results() {
    let shell = Shell::new();
    let arguments = ["--rows", "set_async,large_set,get", "--rounds", "2", "--keys", "321"];
    let more = [
        "--value-bytes",
        "2KiB",
        "--compression",
        "none",
        "--sync-policy",
        "always",
        "--seed",
        "7",
    ];
    let run = bench(&shell, &[&arguments[..], &more, &["--json"]].concat()).json();
    let of =
        |name: &str| rows(&run).iter().find(|row| row["name"] == name).expect("measured").clone();
    let (get, set, large) = (of("get"), of("set_async"), of("large_set"));
    assert_eq!(get["plan"]["keys"], 321);
    assert_eq!((&set["plan"]["sync"], &large["plan"]["sync"]), (&json!("never"), &json!("always")));
    assert_eq!(set["plan"]["value_bytes"], 2048);
    assert_eq!(get["measurements"].as_array().expect("a list").len(), 2);
    // 321 values of 2 KiB, of which nothing is compressed away, stand on the disk.
    let disk = number(&get["measurements"][0]["disk_bytes"]);
    assert!(disk >= 321.0 * 2048.0, "{disk}");
    // Eight sets, each with a sync of its own, and no more.
    let syncs = number(&large["measurements"][0]["log_syncs"]);
    assert!(syncs >= number(&large["plan"]["operations"]), "{syncs}");
    assert_eq!(
        (&run["settings"]["seed"], &run["settings"]["compression"]),
        (&json!(7), &json!("none"))
    );
    assert_eq!(names(&shell.path("")), Vec::<String>::new());
}

/// A run of three rounds, twice: as it is, and with what `plant` makes of it.
fn two_runs(plant: impl Fn(&mut Value)) -> Shell {
    let shell = Shell::new();
    bench(&shell, &["--rows", "set_async,get,open_clean,scan", "--rounds", "3", "--out", "a.json"])
        .text();
    let mut a = document(&shell, "a.json");
    for row in a["rows"].as_array_mut().expect("rows") {
        for (round, measured) in
            row["measurements"].as_array_mut().expect("a list").iter_mut().enumerate()
        {
            // A noise of 5 percent, the same for all.
            measured["figure"] = json!([1000.0, 950.0, 1050.0][round]);
        }
    }
    shell.write("a.json", a.to_string());
    plant(&mut a);
    shell.write("b.json", a.to_string());
    shell
}

fn figures(run: &mut Value, row: &str, figures: [f64; 3]) {
    let rows = run["rows"].as_array_mut().expect("rows");
    let row = rows.iter_mut().find(|found| found["name"] == row).expect("measured");
    for (measured, figure) in
        row["measurements"].as_array_mut().expect("a list").iter_mut().zip(figures)
    {
        measured["figure"] = json!(figure);
    }
}

#[test]
fn planted_differences_are_found_and_noise_is_not() {
    let shell = two_runs(|b| {
        figures(b, "set_async", [2000.0, 1900.0, 2100.0]);
        // A time: more is worse.
        figures(b, "open_clean", [4000.0, 3900.0, 4100.0]);
        // Its median is 4 percent higher; its rounds are among those of the other.
        figures(b, "get", [1040.0, 990.0, 1090.0]);
        b["machine"]["cpu"] = json!("another one");
        b["settings"]["block_cache_bytes"] = json!(4096);
        let rows = b["rows"].as_array_mut().expect("rows");
        let scan = rows.iter_mut().find(|row| row["name"] == "scan").expect("measured");
        scan["plan"]["value_bytes"] = json!(999);
    });
    let found = shell.run(&["bench", "compare", "a.json", "b.json", "--json"]).json();
    let of = |row: &str, field: &str| -> Value {
        let rows = rows(&found).iter().find(|pair| pair["row"] == row).expect("compared");
        rows["pairs"][0][field].clone()
    };
    assert_eq!(
        (of("set_async", "verdict"), of("set_async", "times_better")),
        (json!("better"), json!(2.0))
    );
    assert_eq!(
        (of("open_clean", "verdict"), of("open_clean", "times_better")),
        (json!("worse"), json!(0.25))
    );
    assert_eq!(of("get", "verdict"), "within_noise");
    let scan = rows(&found).iter().find(|pair| pair["row"] == "scan").expect("there");
    assert_eq!(
        (&scan["not_comparable"], &scan["pairs"]),
        (&json!(["value_bytes 128 and 999"]), &json!([]))
    );

    let text = shell.run(&["bench", "compare", "a.json", "b.json"]).text();
    for said in [
        "2.00× better  beyond the noise",
        "4.00× worse",
        "within the noise",
        "not comparable (A and B):\n  scan: value_bytes 128 and 999",
        "not the same machine",
        "another one",
        "block_cache_bytes 268435456 and 4096",
        "1 better and 1 worse beyond the noise",
    ] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
}

#[test]
fn a_run_is_the_same_as_itself_and_rows_of_one_alone_are_named() {
    let shell = two_runs(|b| {
        let rows = b["rows"].as_array_mut().expect("rows");
        rows.retain(|row| row["name"] != "get");
    });
    let same = shell.run(&["bench", "compare", "a.json", "a.json", "--json"]).json();
    let verdicts: Vec<&Value> = rows(&same)
        .iter()
        .flat_map(|row| row["pairs"].as_array().expect("pairs"))
        .map(|pair| &pair["verdict"])
        .collect();
    assert!(
        verdicts.len() >= 4 && verdicts.iter().all(|verdict| *verdict == "within_noise"),
        "{same}"
    );
    assert!(same["machine_differences"].as_array().is_some_and(Vec::is_empty), "{same}");
    let text = shell.run(&["bench", "compare", "b.json", "a.json"]).text();
    assert!(text.contains("only in B:\n  get"), "{text}");
    // At the end of a run, too; one round tells nothing of noise.
    let arguments = ["--rows", "set_async", "--rounds", "1", "--compare-with", "a.json"];
    let text = bench(&shell, &arguments).text();
    assert!(text.contains("A  a.json") && text.contains("what is noise is not known"), "{text}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_made() {
    let shell = Shell::new();
    shell.run(&["set", "key", "kept"]).text();
    shell.write("other.json", "{}");
    shell.write("newer.json", r#"{"format": "esker-bench", "version": 99}"#);
    let before = names(&shell.path(""));
    let refused: &[(i32, &[&str], &str)] = &[
        (2, &["--rows", "set_sync,sett"], "there is no row sett"),
        (2, &["--dir", "nowhere"], "there is no directory nowhere"),
        (2, &["--dir", "other.json"], "is no directory"),
        (2, &["--dir", "data"], "data is the directory of a database"),
        (2, &["--keys", "100000000000000"], "needs up to"),
        (2, &["--scale", "0"], "a scale of 0"),
        (2, &["--memtable-bytes", "1"], "memtable_bytes is 1"),
        (2, &["--out", "-"], "standard output has the tables"),
        (6, &["--out", "nowhere/run.json"], "nowhere/run.json"),
        (6, &["--compare-with", "nowhere.json"], "nowhere.json"),
        (9, &["--compare-with", "other.json"], "other.json holds no results"),
        (8, &["--compare-with", "newer.json"], "version 99"),
    ];
    for (code, arguments, said) in refused {
        let sentence = if arguments[0] == "--scale" {
            shell.run(&[&["bench"], *arguments].concat()).fails(*code)
        } else {
            bench(&shell, arguments).fails(*code)
        };
        assert!(sentence.contains(said), "{arguments:?}: {sentence}");
        assert_eq!(names(&shell.path("")), before, "{arguments:?}");
    }
    let free = bench(&shell, &["--keys", "100000000000000"]).fails(2);
    assert!(free.contains("are free"), "{free}");
    assert_eq!(shell.run(&["get", "key"]).text(), "kept");
}

#[test]
fn what_is_there_already_is_not_touched() {
    let shell = Shell::new();
    shell.write("esker-bench/measured/mine", "precious");
    let sentence = bench(&shell, &["--rows", "set_async"]).fails(2);
    assert!(sentence.contains("esker-bench is there already"), "{sentence}");
    assert_eq!(std::fs::read(shell.path("esker-bench/measured/mine")).expect("there"), b"precious");
}

#[test]
fn the_room_that_is_needed_is_said_before() {
    let shell = Shell::new();
    let ran = shell.run(&["bench", "--rows", "set_async", "--scale", "0.0005", "--rounds", "1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("are needed below ., for set_async"), "{}", ran.stderr);
}

#[cfg(target_os = "linux")]
mod ended {
    use super::*;
    use std::path::Path;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    /// A run that would take ten minutes, when its row is at work; and the processes that it started.
    fn at_work(shell: &Shell) -> (Child, Vec<String>) {
        let arguments = [
            "--rows",
            "set_async,sustained",
            "--rounds",
            "1",
            "--out",
            "run.json",
            "--seconds",
            "600s",
        ];
        let scale = ["--scale", "0.0005", "--quiet", "--busy-loops", "0"];
        let mut command = shell.command(&[&["bench"], &arguments[..], &scale].concat());
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        loop {
            // Nobody but the row that takes long is there for the clock of the processor to come to anything.
            let started = std::fs::read_to_string(&children).unwrap_or_default();
            let started: Vec<String> = started.split_whitespace().map(str::to_string).collect();
            if started.iter().any(|pid| has_worked(pid)) {
                return (child, started);
            }
            assert!(child.try_wait().expect("looked at").is_none(), "it ended by itself");
            std::thread::yield_now();
        }
    }

    /// Whether a process has used the processor for half a second.
    fn has_worked(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        // Behind the name in parentheses: the 12th and the 13th are hundredths of seconds.
        let ticks =
            fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
        ticks.sum::<u64>() >= 50
    }

    fn is_alive(pid: &String) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
    }

    #[test]
    fn ctrl_c_leaves_nothing_but_what_was_measured() {
        let shell = Shell::new();
        let (child, started) = at_work(&shell);
        let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
        assert!(kill.expect("a shell").success());
        let ran: Ran = child.wait_with_output().expect("it ends").into();
        assert_eq!(ran.code, Some(130), "{ran:?}");
        assert_eq!(
            ran.sentence(),
            "the run was interrupted (what was measured by then is in run.json)"
        );
        assert_eq!(names(&shell.path("")), ["run.json"]);
        assert!(!started.iter().any(is_alive), "{started:?}");
        let run = document(&shell, "run.json");
        assert_eq!(run["is_complete"], false);
        let measured: Vec<_> = rows(&run)
            .iter()
            .map(|row| row["measurements"].as_array().expect("a list").len())
            .collect();
        assert_eq!(measured, [1, 0]);
    }

    #[test]
    fn a_row_that_fails_is_told_and_the_rest_is_kept() {
        let shell = Shell::new();
        // No file of a process may have more than 32 or 64 KiB, which the log exceeds and the results do not.
        let command = "ulimit -f 64; ulimit -c 0; exec \"$0\" \"$@\"";
        let arguments = ["bench", "--rows", "set_async,get", "--rounds", "1", "--out", "run.json"];
        let output = Command::new("sh")
            .args(["-c", command, env!("CARGO_BIN_EXE_esker")])
            .args([&arguments[..], TINY].concat())
            .current_dir(shell.path(""))
            .output();
        let sentence = Ran::from(output.expect("it runs")).fails(7);
        assert!(sentence.starts_with("2 of 2 measurements failed, set_async with: "), "{sentence}");
        assert_eq!(names(&shell.path("")), ["run.json"]);
        let run = document(&shell, "run.json");
        assert_eq!(
            (&run["is_complete"], run["failures"].as_array().map(Vec::len)),
            (&json!(false), Some(2))
        );
    }

    #[test]
    fn children_end_with_who_started_them() {
        let shell = Shell::new();
        let (mut child, started) = at_work(&shell);
        child.kill().expect("killed");
        child.wait().expect("it ended");
        let since = Instant::now();
        while started.iter().any(is_alive) {
            assert!(since.elapsed() < Duration::from_secs(60), "they go on: {started:?}");
            std::thread::yield_now();
        }
        // It could not remove what it made; the next run says so, and leaves it alone.
        let sentence = bench(&shell, &["--rows", "set_async"]).fails(2);
        assert!(sentence.contains("is there already"), "{sentence}");
        assert!(Path::new(&shell.path("esker-bench/measured/database")).is_dir());
    }
}
