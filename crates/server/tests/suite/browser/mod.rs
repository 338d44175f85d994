//! A real browser: headless Chromium, driven by WebDriver. [`browse`] gives a test one of its own, and fails it
//! when the page asked another host for anything or the browser complained.

mod docs;
mod pages;

use std::{fs, panic::AssertUnwindSafe, path::Path, process::Stdio, time::Duration};

use futures_util::FutureExt as _;
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{
    ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver, WebDriverBuilder,
    prelude::{By, ElementQueryable as _},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// How long a page may take to show what a test waits for, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(30);

/// A telephone and a desktop.
const WIDTHS: [u32; 2] = [390, 1280];

/// Runs a test in a browser of its own. When it fails, pictures and sources of the open windows stay in
/// `target/tmp`. When it does not, nothing may have gone wrong behind its back.
async fn browse(name: &str, base: &str, test: impl AsyncFnOnce(&Browser)) {
    let browser = Browser::start(base).await;
    let done = AssertUnwindSafe(async {
        test(&browser).await;
        browser.nothing_is_amiss().await;
    });
    let done = done.catch_unwind().await;
    if done.is_err() {
        browser.keep_pictures(name).await;
    }
    browser.stop().await;
    if let Err(panicked) = done {
        std::panic::resume_unwind(panicked);
    }
}

struct Browser {
    driver: WebDriver,
    base: String,
    chromedriver: Child,
    // Removed at the end.
    _profile: TempDir,
}

impl Browser {
    async fn start(base: &str) -> Self {
        let (chromedriver, port) = start_chromedriver().await;
        let profile = tempfile::tempdir().unwrap();
        let mut wanted = DesiredCapabilities::chrome();
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            // No other host has an address, whatever a page asks for.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
            "--window-size=1280,900",
        ] {
            wanted.add_arg(argument).unwrap();
        }
        wanted.add_arg(&format!("--user-data-dir={}", profile.path().display())).unwrap();
        wanted.set_logging_prefs("browser", LoggingPrefsLogLevel::Warning).unwrap();
        wanted.set_logging_prefs("performance", LoggingPrefsLogLevel::All).unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        let builder: WebDriverBuilder = WebDriver::builder(format!("http://127.0.0.1:{port}"), wanted);
        let driver = builder.client(client).connect().await.unwrap();
        Self { driver, base: base.to_owned(), chromedriver, _profile: profile }
    }

    async fn stop(mut self) {
        // The session's end ends Chromium; what is left is the driver.
        drop(self.driver.quit().await);
        drop(self.chromedriver.kill().await);
    }

    async fn open(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base)).await.unwrap();
    }

    /// The first visible element with this selector, as soon as there is one.
    async fn see(&self, css: &str) -> thirtyfour::WebElement {
        let query = self.driver.query(By::Css(css)).wait(PATIENCE, Duration::from_millis(50)).and_displayed();
        query.first().await.unwrap_or_else(|e| panic!("{css} was not seen: {e}"))
    }

    async fn click(&self, css: &str) {
        let element = self.see(css).await;
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap_or_else(|e| panic!("{css} cannot be clicked: {e}"));
    }

    async fn write(&self, css: &str, text: &str) {
        self.see(css).await.send_keys(text).await.unwrap();
    }

    async fn text(&self, css: &str) -> String {
        self.see(css).await.text().await.unwrap()
    }

    async fn script(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Waits until that many windows are open, and looks at the last one.
    async fn last_of_windows(&self, count: usize) {
        let began = tokio::time::Instant::now();
        loop {
            let windows = self.driver.windows().await.unwrap();
            if windows.len() == count {
                return self.driver.switch_to_window(windows.last().unwrap().clone()).await.unwrap();
            }
            assert!(began.elapsed() < PATIENCE, "{} windows, not {count}", windows.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A screen of this width in pixels, light or dark.
    async fn screen(&self, width: u32, scheme: &str) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", metrics).await.unwrap();
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", media).await.unwrap();
    }

    /// Nothing on this page is wider than the screen.
    async fn fits(&self, what: &str) {
        let room = self.script("return [document.documentElement.scrollWidth, window.innerWidth]").await;
        assert!(room[0].as_f64() <= room[1].as_f64(), "{what} is {} wide on {}", room[0], room[1]);
    }

    /// No request left for another host, and the console holds nothing: no error, no breach of a page's policy.
    async fn nothing_is_amiss(&self) {
        // This machine has two names.
        let own = |url: &Url| matches!(url.host_str(), Some("127.0.0.1" | "localhost")) && url.port() == self.port();
        let mut asked = 0;
        for entry in self.driver.get_log("performance").await.unwrap() {
            let event: Value = serde_json::from_str(&entry.message).unwrap();
            let message = &event["message"];
            if message["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let url: Url = message["params"]["request"]["url"].as_str().unwrap().parse().unwrap();
            if matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
                assert!(own(&url), "a page asked for {url}");
                asked += 1;
            }
        }
        assert!(asked > 0, "the browser's log of requests is empty");
        let complaints = self.driver.browser_log().await.unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    fn port(&self) -> Option<u16> {
        Url::parse(&self.base).unwrap().port()
    }

    async fn keep_pictures(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for (n, window) in self.driver.windows().await.unwrap_or_default().into_iter().enumerate() {
            let file = folder.join(format!("{name}-{n}"));
            drop(self.driver.switch_to_window(window).await);
            drop(self.driver.screenshot(&file.with_extension("png")).await);
            drop(fs::write(file.with_extension("html"), self.driver.source().await.unwrap_or_default()));
            println!("see {}", file.with_extension("png").display());
        }
    }
}

/// On a port that it chooses itself.
async fn start_chromedriver() -> (Child, u16) {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let spawned = command.spawn();
    let mut chromedriver = spawned.expect("chromedriver: install the packages chromium and chromium-driver");
    let mut said = BufReader::new(chromedriver.stdout.take().unwrap()).lines();
    let port = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = said.next_line().await.unwrap() {
            let port = line.split_once("started successfully on port ").map(|(_, port)| port);
            if let Some(port) = port {
                return port.trim_end_matches('.').parse().unwrap();
            }
        }
        panic!("chromedriver ended at once");
    });
    let port = port.await.expect("chromedriver does not start");
    // It would die of a closed pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
    (chromedriver, port)
}
