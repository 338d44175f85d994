//! The management listener: health and metrics. It needs no token, so that it belongs on an inner address.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use serde_json::{Value, json};
use store::{Store, supervise::Supervisor};
use tokio::time::{sleep, timeout};

use crate::telemetry::Metrics;

/// How long a readiness check may take; an orchestrator asks every few seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at the files of the database.
const LOOK: Duration = Duration::from_secs(5);

/// What the management listener shows.
#[derive(Clone, Debug)]
pub struct Management {
    /// Asked for readiness.
    pub store: Arc<Store>,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// What runs beside the requests.
    pub tasks: Supervisor,
    /// Set once the end has been asked for.
    pub ending: Arc<AtomicBool>,
}

/// `/health/live`, `/health/ready` and `/metrics`.
pub fn router(management: Management) -> Router {
    Router::new()
        .route("/health/live", get(async || Json(json!({"status": "live"}))))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(management)
}

/// Ready to answer requests: the database answers and lies in the files that were opened, the audit log takes records,
/// every background task runs, and nobody has asked for the end: while it drains, a balancer is to send its requests
/// elsewhere. Issuers that are down do not count: tokens that are known still work, and starting the service anew would
/// not help.
async fn ready(State(management): State<Management>) -> impl IntoResponse {
    let mut not_ready: Vec<Value> = Vec::new();
    match timeout(PATIENCE, management.store.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database");
            not_ready.push(json!("database"));
        }
        Err(_) => not_ready.push(json!("database")),
    }
    if !management.store.files().troubles().is_empty() {
        not_ready.push(json!("database-files"));
    }
    if !management.tasks.is_well() {
        not_ready.push(json!("background-tasks"));
    }
    if !management.store.audit_log().is_able() {
        not_ready.push(json!("audit-log"));
    }
    if management.ending.load(Ordering::Relaxed) {
        not_ready.push(json!("ending"));
    }
    let status = if not_ready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if not_ready.is_empty() { "ready" } else { "not-ready" };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(json!({"status": word, "notReady": not_ready})))
}

async fn metrics(State(management): State<Management>) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    match management.metrics.text() {
        Ok(text) => (kind, text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Says so once in the log when a file of the database was deleted or replaced, or is back again. It never ends.
pub async fn watch_files(store: &Store) {
    let (files, mut told) = (store.files(), Vec::new());
    loop {
        let troubles = files.troubles();
        if troubles != told {
            for trouble in &troubles {
                tracing::error!(trouble, "not ready: what is written now will be lost; end the service and restore");
            }
            told = troubles;
        }
        sleep(LOOK).await;
    }
}
