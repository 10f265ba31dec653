//! A browser, driven over WebDriver: HTTP and JSON, which [`crate::client`] speaks.

use crate::client::{PATIENCE, Reply, request, until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A headless Chromium with one page.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

/// The first of `names` in the search path.
fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file()))
}

impl Browser {
    /// Starts one. `None`, and a line on standard error that no harness holds back, where there is none on this machine.
    pub fn start(skipped: &str) -> Option<Browser> {
        let chromium = found(&["chromium", "chromium-browser", "google-chrome"]);
        let Some((chromium, driver)) = chromium.zip(found(&["chromedriver"])) else {
            let text = format!("skipped: {skipped}: chromium and chromedriver are not both here\n");
            std::io::stderr().write_all(text.as_bytes()).expect("written");
            return None;
        };
        let profile = tempfile::tempdir().expect("a directory");
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the driver starts");
        let lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let rest = line.split("started successfully on port ").nth(1)?;
            rest.trim_end_matches('.').parse::<u16>().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("it says where it listens")));
        let mut browser = Browser { driver, address, session: String::new(), _profile: profile };
        let arguments = [
            "--headless=new".to_owned(),
            // Of root, and in a container with little shared memory, it does not start otherwise. It sees our page alone.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        let made = browser.ask(
            "POST",
            "/session",
            &json!({ "capabilities": { "alwaysMatch": {
                "goog:chromeOptions": { "binary": chromium, "args": arguments },
                "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            }}}),
        );
        browser.session = made["sessionId"].as_str().expect("a session").to_owned();
        Some(browser)
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let reply = self.send(method, path, body);
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
        reply.json()["value"].clone()
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let headers = [("Content-Type", "application/json")];
        request(self.address, method, path, &headers, body.as_bytes())
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// Opens `url`.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What `expression` is in the page.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the element that `selector` finds.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?}).textContent"));
        text.as_str().expect("text").to_owned()
    }

    /// Waits until `expression` is true in the page.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let begun = Instant::now();
        while self.value(expression) != true {
            if begun.elapsed() > PATIENCE {
                panic!(
                    "not within {PATIENCE:?}: {expression}\n{}",
                    self.value("document.body.innerText")
                );
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().and_then(|found| found.values().next()?.as_str());
        format!("/element/{}", id.expect("an element"))
    }

    /// Clicks on what `selector` finds, as a mouse does: an element that is hidden, disabled or covered is not hit.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        // The page draws some of its elements anew every second: one that was found may be gone when it is to be
        // clicked, and then nothing has been.
        until("an element that stays", || {
            let path = format!("/session/{}{}/click", self.session, self.element(selector));
            let reply = self.send("POST", &path, &json!({}));
            let is_gone = reply.json()["value"]["error"] == "stale element reference";
            assert!(is_gone || reply.status == 200, "{selector}: {}", reply.text());
            !is_gone
        });
    }

    /// Types `text` into what `selector` finds.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        self.post(&format!("{}/value", self.element(selector)), &json!({ "text": text }));
    }

    /// A command of the browser's own protocol.
    #[track_caller]
    pub fn command(&self, name: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    /// Has the page `width` wide and `height` high, in dark colours or in light ones.
    #[track_caller]
    pub fn look(&self, width: u32, height: u32, is_dark: bool) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", size);
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", media);
    }

    /// What was logged since the last look, of the kind `browser` or `performance`.
    #[track_caller]
    pub fn log(&self, kind: &str) -> Vec<Value> {
        let lines = self.post("/se/log", &json!({ "type": kind }));
        lines.as_array().expect("a list").clone()
    }

    /// The addresses that pages, other than the browser's own, have asked for since the last look.
    #[track_caller]
    pub fn requested(&self) -> Vec<String> {
        let lines = self.log("performance").into_iter();
        let messages = lines.map(|line| {
            let text = line["message"].as_str().expect("text").to_owned();
            serde_json::from_str::<Value>(&text).expect("JSON")["message"].clone()
        });
        messages
            .filter(|message| message["method"] == "Network.requestWillBeSent")
            .filter(|message| {
                message["params"]["documentURL"].as_str().is_none_or(|url| url.starts_with("http"))
            })
            .map(|message| message["params"]["request"]["url"].as_str().expect("text").to_owned())
            .collect()
    }

    /// A picture of the whole page as a PNG, into `path`.
    #[track_caller]
    pub fn picture(&self, path: &Path) {
        use base64::Engine as _;
        let size = self.command("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let clip =
            json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let of = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.command("Page.captureScreenshot", of);
        let data = taken["data"].as_str().expect("text");
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        std::fs::write(path, bytes).expect("written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        } else if !self.session.is_empty() {
            // The browser ends with its session; a second panic would end the test without its first.
            let path = format!("/session/{}", self.session);
            let address = self.address;
            drop(std::thread::spawn(move || request(address, "DELETE", &path, &[], b"")).join());
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
