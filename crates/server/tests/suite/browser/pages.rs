//! The plain pages: they fit every screen, need no script, and lead on.

use serde_json::json;
use store::EngineKind;

use super::{WIDTHS, browse};
use crate::process::Place;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_pages_fit_every_screen_and_need_no_script() {
    let place = Place::new(EngineKind::Sqlite).await;
    let service = place.serve(&[]).await;
    browse("pages", &service.base, async |browser| {
        let off = json!({"value": true});
        browser.driver.cdp().send_raw("Emulation.setScriptExecutionDisabled", off).await.unwrap();
        for width in WIDTHS {
            for scheme in ["light", "dark"] {
                browser.screen(width, scheme).await;
                for path in ["/", "/problems", "/problems/not-enrolled", "/demo/oidc/login"] {
                    browser.open(path).await;
                    browser.see("main h1").await;
                    browser.fits(path).await;
                }
            }
        }
        // From the start to a token that counts.
        browser.open("/").await;
        browser.click("a[href='/demo/oidc/login']").await;
        browser.write("#username", "alice").await;
        browser.write("#password", "nonsense").await;
        browser.click("button[type=submit]").await;
        browser.see("[role=alert]").await;
        browser.write("#username", "alice").await;
        browser.write("#password", "alice").await;
        browser.click("button[type=submit]").await;
        let token = browser.text("#token").await;
        let asked = crate::process::client().get(format!("{}/api/customer", service.base)).bearer_auth(token.trim());
        assert_eq!(asked.send().await.unwrap().status(), 200);
    })
    .await;
}
