//! `/api/docs`: somebody comes to the service, logs in, and tries an operation.

use store::EngineKind;

use super::{Browser, WIDTHS, browse};
use thirtyfour::prelude::By;

use crate::process::Place;

const PANEL: &str = "#operations-Customer-getCustomer";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alice_logs_in_and_tries_an_operation() {
    let place = Place::new(EngineKind::Sqlite).await;
    let service = place.serve(&[]).await;
    // Under the second name, the provider is on another origin.
    for base in [service.base.clone(), service.base.replace("127.0.0.1", "localhost")] {
        browse("docs", &base, async |browser| log_in_and_try(browser, &service.base).await).await;
    }
    assert_eq!(service.terminate().await, 0);
}

async fn log_in_and_try(browser: &Browser, issuer: &str) {
    browser.open("/").await;
    browser.click("a[href='/api/docs']").await;
    browser.click(".auth-wrapper .authorize").await;
    let form = ".modal-ux .auth-container:has(#client_id_authorizationCode)";
    assert!(browser.text(form).await.contains(&format!("{issuer}/demo/oidc/auth")));
    browser.click(&format!("{form} .authorize")).await;
    browser.last_of_windows(2).await;
    browser.write("#username", "alice").await;
    browser.write("#password", "alice").await;
    browser.click("button[type=submit]").await;
    // The window closes itself when the code has been handed over.
    browser.last_of_windows(1).await;
    browser.see(".modal-ux button[aria-label='Remove authorization']").await;
    browser.click(".modal-ux .btn-done").await;
    browser.click(&format!("{PANEL} .opblock-summary-control")).await;
    browser.click(&format!("{PANEL} .try-out__btn")).await;
    browser.click(&format!("{PANEL} .execute")).await;
    let answer = browser.text(&format!("{PANEL} .live-responses-table .response")).await;
    assert!(answer.starts_with("200") && answer.contains("\"firstName\": \"John\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documentation_fits_every_screen() {
    let place = Place::new(EngineKind::Sqlite).await;
    let service = place.serve(&[]).await;
    browse("docs-fit", &service.base, async |browser| {
        for width in WIDTHS {
            for scheme in ["light", "dark"] {
                browser.screen(width, scheme).await;
                browser.open("/api/docs#/Customer/getCustomer").await;
                browser.see(&format!("{PANEL} .try-out__btn")).await;
                assert!(!browser.driver.find(By::Css("#failed")).await.unwrap().is_displayed().await.unwrap());
                browser.fits("/api/docs").await;
            }
        }
    })
    .await;
}
