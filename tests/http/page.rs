//! The status page in a real browser: what it shows, what its buttons do, what it fetches, how it looks.
//!
//! `ESKER_PICTURES=docs/images cargo test --test http page::pictures` takes the pictures of the documentation.

use crate::browser::Browser;
use crate::client::PATIENCE;
use crate::serving::Serving;
use esker::server::Token;
use esker::{Db, Options, SyncPolicy};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const IS_LIVE: &str = "document.body.dataset.live === 'live'";

/// Small ones, so that a small database has several of everything.
fn options() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        memtable_bytes: 128 << 10,
        table_bytes: 64 << 10,
        log_file_bytes: 512 << 10,
        disk_reserve_bytes: 0,
        ..Options::default()
    }
}

/// A database of `users` keys, written over twice, with tables in several levels, and files with large values, some of them garbage.
fn fill(dir: &Path, users: u64) {
    let db = Db::open(dir, options()).expect("opened");
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state >> 33
    };
    for n in 0..2 * users {
        let value: String = (0..16).map(|_| format!("{:08x}", noise())).collect();
        db.set(format!("kv:user/{:06}", noise() % users), value).expect("set");
        if n % 25 == 0 {
            let large: Vec<u8> = (0..1024).flat_map(|_| noise().to_le_bytes()).collect();
            db.set(format!("kv:picture/{:04}", noise() % (users / 20)), large).expect("set");
        }
    }
    db.close().expect("closed");
}

/// A server over such a database.
fn serving(users: u64) -> (tempfile::TempDir, Serving) {
    let dir = tempfile::tempdir().expect("a directory");
    fill(&dir.path().join("data"), users);
    let serving = Serving::in_dir(dir.path(), |config| config.options = options());
    (dir, serving)
}

fn url(server: &Serving) -> String {
    format!("http://{}/", server.address)
}

/// Writes and reads while `act` runs.
fn under_load<R>(server: &Serving, act: impl FnOnce() -> R) -> R {
    let is_over = AtomicBool::new(false);
    let is_over = &is_over;
    std::thread::scope(|scope| {
        for client in 0..2 {
            scope.spawn(move || {
                for n in (0..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                    server.set(&format!("load/{client}/{}", n % 500), &"x".repeat(n * 31 % 1_200));
                    for user in 0..=client {
                        server.get(&format!("/kv/user/{:06}", (n + user) * 7 % 4_000));
                    }
                }
            });
        }
        // Also when it panics: else the scope never ends.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        is_over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// That nothing was logged as an error, which a breach of the page's policy would be, and nothing was asked of anybody else.
#[track_caller]
fn is_clean(browser: &Browser, server: &Serving) {
    let requested = browser.requested();
    let ours = url(server);
    assert!(requested.iter().any(|url| url.ends_with("/events")), "{requested:?}");
    for url in requested {
        assert!(url.starts_with(&ours) || url.starts_with("data:"), "{url}");
    }
    let errors: Vec<Value> =
        browser.log("browser").into_iter().filter(|line| line["level"] == "SEVERE").collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn it_shows_what_the_server_does_as_it_does_it() {
    let Some(browser) = Browser::start("the status page, live") else { return };
    let (_dir, server) = serving(4_000);
    browser.open(&url(&server));
    browser.until(IS_LIVE);
    assert_eq!(browser.text("#health"), "ready");
    assert!(browser.text("#about").contains("data"), "{}", browser.text("#about"));
    // The server goes on merging what it found, and the page looks once a second: they agree when both stand still.
    let begun = Instant::now();
    loop {
        let shown = |selector: &str| {
            let count = browser.value(&format!("document.querySelectorAll('{selector}').length"));
            usize::try_from(count.as_u64().expect("a count")).expect("small")
        };
        let shown = (shown("#levels .row"), shown("#levels .track > span"), shown("#values .row"));
        let layout = server.get("/status").ok()["layout"].clone();
        let of = |value: &Value| value.as_array().expect("a list").len();
        let tables = layout["levels"].as_array().expect("a list").iter();
        let tables = tables.map(|level| of(&level["tables"])).sum();
        let there = (of(&layout["levels"]), tables, of(&layout["value_files"]));
        assert!(tables > 3 && there.2 > 1, "{there:?}");
        if shown == there {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{shown:?} are shown, {there:?} are there");
        std::thread::sleep(Duration::from_millis(100));
    }
    let dead = "[...document.querySelectorAll('#values .dead')].some(e => e.offsetWidth > 2)";
    browser.until(dead); // Garbage is to be seen.
    assert!(browser.text("#memory-sum").ends_with("of 1.0 GiB"), "{}", browser.text("#memory-sum"));

    // Values change by themselves: the page is not loaded again.
    browser.value("(window.stays = true)");
    browser.until("document.querySelector('#writes').textContent === '0 /s'");
    under_load(&server, || {
        for tile in ["#writes", "#reads"] {
            browser.until(&format!("parseFloat(document.querySelector('{tile}').textContent) > 5"));
        }
        browser.until("document.querySelector('#commit').textContent.endsWith('s')");
        browser
            .until("document.querySelector('#latencies').textContent.includes('Reads over HTTP')");
        browser.until("document.querySelectorAll('#latencies .bars').length >= 2");
        let first =
            browser.value("document.querySelector('#throughput .writes').getAttribute('d')");
        browser.until(&format!(
            "document.querySelector('#throughput .writes').getAttribute('d') !== {first}"
        ));
    });
    browser.until("document.querySelector('#writes').textContent === '0 /s'");
    assert_eq!(browser.value("window.stays"), true);
    is_clean(&browser, &server);

    // The server goes, and the page says so, and finds it again.
    let (dir, address) = (server.dir.clone(), server.address);
    drop(server);
    browser.until("document.body.dataset.live === 'lost'");
    assert_eq!(browser.text("#health"), "no answer");
    let server = Serving::in_dir(&dir, |config| {
        config.listen = address;
        config.options = options();
    });
    browser.until(IS_LIVE);
    assert_eq!(browser.text("#health"), "ready");
    drop(server);
}

#[test]
fn its_buttons_back_up_and_verify() {
    let Some(browser) = Browser::start("the buttons of the status page") else { return };
    let (_dir, server) = serving(4_000);
    browser.open(&url(&server));
    browser.until(IS_LIVE);
    assert!(browser.text("#backups").contains("None yet"));

    browser.click("#backup-now");
    browser.until("document.querySelector('#backup-said').className === 'said good'");
    let said = browser.text("#backup-said");
    assert!(said.contains(" is made: "), "{said}");
    let path = said.split(' ').next().expect("a path");
    let name = path.rsplit('/').next().expect("a name").to_owned();
    let file = server.dir.join("backups").join(&name);
    assert!(esker::verify_backup(&file).expect("it is sound").entries > 1_000, "{name}");
    browser.until(&format!("!!document.querySelector('tr[data-backup=\"{name}\"]')"));

    let verify = format!("button[data-verify=\"{name}\"]");
    browser.click(&verify);
    browser.until("document.querySelector('#backup-said').textContent.includes('is sound')");
    let row = format!("document.querySelector('tr[data-backup=\"{name}\"]').textContent");
    browser.until(&format!("{row}.includes('sound')"));

    let mut bytes = std::fs::read(&file).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    browser.click(&verify);
    browser.until("document.querySelector('#backup-said').className === 'said bad'");
    let said = browser.text("#backup-said");
    assert!(said.contains("Corruption detected"), "{said}");
    browser.until(&format!("{row}.includes('damaged')"));

    browser.until("document.querySelector('#events').textContent.includes('backup')");
    is_clean_but_for_the_refusal(&browser, &server);
}

/// As [`is_clean`]; the browser logs the answer 422 as an error of its own.
#[track_caller]
fn is_clean_but_for_the_refusal(browser: &Browser, server: &Serving) {
    let errors = browser.log("browser").into_iter().filter(|line| line["level"] == "SEVERE");
    let texts: Vec<String> = errors.map(|line| line["message"].to_string()).collect();
    assert!(texts.len() == 1 && texts[0].contains("422"), "{texts:?}");
    is_clean(browser, server);
}

#[test]
fn it_asks_for_the_token() {
    let Some(browser) = Browser::start("the token form of the status page") else { return };
    let server = Serving::with(|config| {
        config.token = Some(Token::new("0123456789abcdef").expect("a token"))
    });
    browser.open(&url(&server));
    browser.until("document.body.dataset.live === 'token'");
    let is_hidden = "document.querySelector('#content').hidden";
    assert_eq!(browser.value(is_hidden), true);
    assert_eq!(browser.value("document.activeElement.id"), "token");

    browser.type_into("#token", "something else");
    browser.click("#token-submit");
    browser.until("document.querySelector('#token-said').textContent === 'That is not the token.'");
    assert_eq!(browser.value(is_hidden), true);

    browser.type_into("#token", "0123456789abcdef");
    browser.click("#token-submit");
    browser.until(IS_LIVE);
    assert_eq!(browser.value(is_hidden), false);
    browser.click("#backup-now");
    browser.until("document.querySelector('#backup-said').className === 'said good'");

    // It stands in no address, and goes with the tab: a reload knows it, another tab does not.
    assert!(browser.requested().iter().all(|url| !url.contains("0123456789abcdef")));
    browser.open(&url(&server));
    browser.until(IS_LIVE);
    assert_eq!(browser.value("localStorage.length + document.cookie.length"), 0);
    browser.value("sessionStorage.clear()");
    browser.open(&url(&server));
    browser.until("document.body.dataset.live === 'token'");
}

/// The least contrast of any text to what is behind it, and whose it is (WCAG 2: 4.5 is what can be read).
const LEAST_CONTRAST: &str = r#"(() => {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  let least = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.offsetParent || element.closest("button:disabled")) continue;
    let behind = element, ground;
    do { ground = rgb(getComputedStyle(behind).backgroundColor); behind = behind.parentElement; }
    while (ground.length === 4 && ground[3] === 0 && behind);
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(ground)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < least[0]) least = [contrast, element.outerHTML.slice(0, 120)];
  }
  return least;
})()"#;

#[test]
fn it_can_be_read_on_a_telephone_and_at_night() {
    let Some(browser) = Browser::start("the looks of the status page") else { return };
    let (_dir, server) = serving(4_000);
    server.post("/backup", r#"{"path":"a-name-that-is-longer-than-a-telephone-is-wide.db"}"#).ok();
    browser.open(&url(&server));
    browser.until(IS_LIVE);
    under_load(&server, || {
        browser.until("document.querySelectorAll('#latencies .bars').length >= 2");
    });
    let mut grounds = Vec::new();
    for (width, is_dark) in [(400, false), (400, true), (760, false), (1280, true), (1280, false)] {
        browser.look(width, 900, is_dark);
        browser.until(&format!("window.innerWidth === {width}"));
        let wide = browser.value("document.documentElement.scrollWidth");
        assert!(wide.as_u64().is_some_and(|wide| wide <= u64::from(width)), "{wide} of {width}");
        let outside = browser.value(&format!(
            "[...document.querySelectorAll('body *')].filter(e => e.offsetParent && e.getBoundingClientRect().right > {width} + 1).map(e => e.outerHTML.slice(0, 100))"
        ));
        assert_eq!(outside, serde_json::json!([]), "at {width}");
        let least = browser.value(LEAST_CONTRAST);
        assert!(least[0].as_f64().is_some_and(|least| least >= 4.5), "dark: {is_dark}: {least}");
        grounds.push(browser.value("getComputedStyle(document.body).backgroundColor"));
    }
    assert_eq!(grounds[0], grounds[4]);
    assert_eq!(grounds[1], grounds[3]);
    assert_ne!(grounds[0], grounds[1], "dark and light are not the same");
}

/// Not a test: takes the pictures, where it is told to.
#[test]
fn pictures() {
    let Some(dir) = std::env::var_os("ESKER_PICTURES").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&dir).expect("made");
    let dir = std::fs::canonicalize(dir).expect("a directory");
    let browser = Browser::start("the pictures").expect("a browser");
    let home = tempfile::tempdir().expect("a directory");
    // So that no path of this machine is in the pictures. No other test runs beside this one.
    std::env::set_current_dir(home.path()).expect("moved");
    fill(Path::new("data"), 60_000);
    let server = Serving::in_dir(Path::new("."), |config| config.options = options());
    server.post("/backup", r#"{"path":"monday.db"}"#).ok();
    server.post("/backup", r#"{"path":"tuesday.db"}"#).ok();
    browser.look(1280, 900, false);
    browser.open(&url(&server));
    browser.until(IS_LIVE);
    under_load(&server, || {
        std::thread::sleep(Duration::from_secs(100));
        browser.picture(&dir.join("page-light.png"));
        browser.look(1280, 900, true);
        std::thread::sleep(Duration::from_secs(2));
        browser.picture(&dir.join("page-dark.png"));
        browser.look(400, 900, false);
        std::thread::sleep(Duration::from_secs(2));
        browser.picture(&dir.join("page-narrow.png"));
    });
}
