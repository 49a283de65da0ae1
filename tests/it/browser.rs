//! A browser, driven as W3C WebDriver says: Chromium without a window.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{self, block_on};

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser of a test's own, without a past; it ends when it is dropped.
pub struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
}

impl Browser {
    /// None, and a line that says so, if there is none.
    pub fn start(home: &Path) -> Option<Browser> {
        let there =
            |program: &str| Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success());
        if !(there("chromium") && there("chromedriver")) {
            support::skipped("there is no `chromium` with `chromedriver`: run `cargo xtask test`");
            return None;
        }
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", home)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map(Result::unwrap);
        let started =
            lines.find_map(|line| Some(line.split_once("successfully on port ")?.1.trim_matches('.').to_owned()));
        let root = format!("http://127.0.0.1:{}", started.expect("chromedriver says where it is"));
        // Whatever it says later has somewhere to go.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Browser { driver, session: root, client: reqwest::Client::new() };
        let profile = format!("--user-data-dir={}", home.join("profile").display());
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", &profile];
        let chrome = json!({"browserName": "chrome", "goog:chromeOptions": {"args": arguments}});
        let session = browser.post("/session", json!({"capabilities": {"alwaysMatch": chrome}})).unwrap();
        browser.session = format!("{}/session/{}", browser.session, session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    fn done(&self, request: reqwest::RequestBuilder) -> Result<Value, Value> {
        let (status, body) = block_on(async {
            let answer = request.send().await.unwrap();
            (answer.status(), answer.bytes().await.unwrap())
        });
        let mut value: Value = serde_json::from_slice(&body).unwrap();
        let value = value["value"].take();
        if status.is_success() { Ok(value) } else { Err(value) }
    }

    fn post(&self, path: &str, body: Value) -> Result<Value, Value> {
        let request = self.client.post(format!("{}{path}", self.session)).header("content-type", "application/json");
        self.done(request.body(body.to_string()))
    }

    fn get(&self, path: &str) -> Value {
        self.done(self.client.get(format!("{}{path}", self.session))).unwrap()
    }

    pub fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).unwrap();
    }

    pub fn reload(&self) {
        self.post("/refresh", json!({})).unwrap();
    }

    pub fn url(&self) -> String {
        self.get("/url").as_str().unwrap().to_owned()
    }

    /// The page as the browser has it.
    pub fn page(&self) -> String {
        self.get("/source").as_str().unwrap().to_owned()
    }

    /// The names of the cookies that the page's scripts and requests would have.
    pub fn cookies(&self) -> Vec<String> {
        self.get("/cookie")
            .as_array()
            .unwrap()
            .iter()
            .map(|cookie| cookie["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits for an element, by its CSS selector.
    fn element(&self, selector: &str) -> String {
        let began = Instant::now();
        loop {
            match self.post("/element", json!({"using": "css selector", "value": selector})) {
                Ok(found) => return format!("/element/{}", found[ELEMENT].as_str().unwrap()),
                Err(error) => assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "no `{selector}` at {}: {error}\n{}",
                    self.url(),
                    self.page()
                ),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn click(&self, selector: &str) {
        self.post(&format!("{}/click", self.element(selector)), json!({})).unwrap();
    }

    pub fn write(&self, selector: &str, text: &str) {
        self.post(&format!("{}/value", self.element(selector)), json!({"text": text})).unwrap();
    }

    /// What is in a field.
    pub fn value(&self, selector: &str) -> String {
        self.get(&format!("{}/property/value", self.element(selector))).as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.done(self.client.delete(&self.session));
        // The driver, and whatever of the browser is left.
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.driver.id())]).status().ok();
        self.driver.wait().ok();
    }
}
