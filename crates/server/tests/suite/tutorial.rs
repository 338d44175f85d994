//! `docs/tutorial.md`, run line by line against the real program.

use similar_asserts::assert_eq;
use store::EngineKind;
use tokio::process::Command;

use crate::process::Place;

/// The blocks of the page: what is run, and what it should say.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let (mut kind, mut text) = (None, String::new());
    for line in page.lines() {
        match (kind, line.strip_prefix("```")) {
            (None, Some(of)) => (kind, text) = (Some(of.to_owned()), String::new()),
            (Some(of), Some("")) => {
                match &*of {
                    "sh" => found.push((std::mem::take(&mut text), String::new())),
                    "text" => found.last_mut().unwrap().1 = std::mem::take(&mut text),
                    other => panic!("what is {other}?"),
                }
                kind = None;
            }
            (of, _) => {
                kind = of;
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}

async fn every_line_does_what_the_page_says(engine: EngineKind) {
    let page = include_str!("../../../../docs/tutorial.md");
    let place = Place::new(engine).await;
    let service = place.serve(&[]).await;
    let blocks = blocks(&page.replace("http://127.0.0.1:8080", &service.base));
    assert!(blocks.len() > 8, "{}", blocks.len());
    let script: String = blocks.iter().map(|(run, _)| format!("{run}echo @@@\n")).collect();
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script]).env_remove("BASH_ENV").kill_on_drop(true);
    let said = tokio::time::timeout(std::time::Duration::from_secs(60), bash.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    let said: Vec<&str> = out.split("@@@\n").collect();
    for ((run, right), said) in blocks.iter().zip(&said) {
        assert_eq!(said, right, "{run}{err}");
    }
    assert_eq!(said.len(), blocks.len() + 1, "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    every_line_does_what_the_page_says(EngineKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    every_line_does_what_the_page_says(EngineKind::Postgres).await;
}
