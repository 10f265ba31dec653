//! No crate that compiles or links C, under any feature, for any target.
//!
//! What is asked of cargo: the crates that a build of esker uses (`cargo
//! tree`, all features, all targets, without what only tests use), and which
//! of all crates declare that they link a native library (`cargo metadata`).

use std::collections::BTreeSet;
use std::process::Command;

/// Crates whose purpose is to compile C or C++, or to find it compiled.
const COMPILERS: &[&str] = &[
    "autotools",
    "bindgen",
    "cc",
    "cmake",
    "cpp_build",
    "cxx-build",
    "gcc",
    "meson",
    "nasm-rs",
    "pkg-config",
    "system-deps",
    "vcpkg",
];

/// Crates named `*-sys`, or declaring `links`, that compile no C: bindings to
/// what the operating system has anyway.
const HARMLESS: &[&str] =
    &["js-sys", "linux-raw-sys", "wasm-bindgen-shared", "web-sys", "windows-sys"];

/// Which of `crates` (names) compile or link C; `links` are those that declare
/// a native library.
fn offenders(crates: &BTreeSet<String>, links: &BTreeSet<String>) -> Vec<String> {
    crates
        .iter()
        .filter(|name| {
            let compiles = COMPILERS.contains(&name.as_str());
            let binds = (name.ends_with("-sys") || links.contains(*name))
                && !HARMLESS.contains(&name.as_str());
            compiles || binds
        })
        .cloned()
        .collect()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("cargo answers in UTF-8")
}

#[test]
fn no_crate_compiles_c() {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--edges=normal,build",
        "--all-features",
        "--target=all",
        "--prefix=none",
        "--format={p}",
    ]);
    let crates: BTreeSet<String> =
        tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_string).collect();
    assert!(crates.contains("esker") && crates.contains("crc32fast"), "{tree}");

    let metadata = cargo(&["metadata", "--locked", "--format-version=1", "--all-features"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("it is JSON");
    let links: BTreeSet<String> = metadata["packages"]
        .as_array()
        .expect("a list of packages")
        .iter()
        .filter(|package| !package["links"].is_null())
        .map(|package| package["name"].as_str().expect("a name").to_string())
        .collect();

    let offenders = offenders(&crates, &links);
    assert!(
        offenders.is_empty(),
        "{offenders:?} compile or link C; `cargo tree -e normal,build --all-features --target all \
         -i <crate>` shows what wants them"
    );
}

#[test]
fn crates_that_do_are_named() {
    let set = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>();
    let crates = set(&["esker", "cc", "zstd-sys", "windows-sys", "ring", "linux-raw-sys", "serde"]);
    assert_eq!(offenders(&crates, &set(&["ring", "openssl"])), ["cc", "ring", "zstd-sys"]);
}
