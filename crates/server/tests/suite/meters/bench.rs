//! Readings by REST against what the bare database does with the same rows; `./dev bench readings` runs it.

use std::{env, fmt::Write as _, time::Instant as Stopwatch};

use domain::time::{Instant, SECOND};
use futures_util::SinkExt as _;
use store::EngineKind;

use super::counts;
use crate::{ask::User, process::Sql, support::Service};

/// Lines of one batch.
const BATCH: usize = 20_000;
const METERS: i64 = 11;

struct Row {
    meter: i64,
    at: Instant,
    value: i64,
}

/// `count` readings of the demonstration's meters, a minute after the other.
fn rows(count: i64) -> Vec<Row> {
    let start = Instant::parse("2025-06-01T06:00:00Z").unwrap();
    let row = |n: i64| Row {
        meter: 3001 + n % METERS,
        at: start.plus(n / METERS * 60 * SECOND),
        value: 5_000_000 + n / METERS,
    };
    (0..count).map(row).collect()
}

async fn by_rest(service: &Service, rows: &[Row]) -> f64 {
    let meter = User::of(service, "meter").await;
    let batch = |rows: &[Row]| {
        let mut body = String::from("meterId,register,readAt,value,quality,reportedAt\n");
        for Row { meter, at, value } in rows {
            let (whole, part) = (value / 1000, value % 1000);
            writeln!(body, "{meter},delivered,{at},{whole}.{part:03},actual,2025-06-01T06:00:00Z").unwrap();
        }
        body
    };
    let batches: Vec<String> = rows.chunks(BATCH).map(batch).collect();
    let began = Stopwatch::now();
    let mut accepted = 0;
    for body in &batches {
        let kind = [("content-type", "text/csv")];
        let answer = meter.send("POST", "/api/integration/readings", &kind, Some(body)).await;
        accepted += counts(&answer).0[0];
    }
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(usize::try_from(accepted).unwrap(), rows.len());
    seconds
}

/// The same rows as the database itself takes them, once those that came by REST are gone.
async fn bare(service: &Service, rows: &[Row], floor: i64) -> f64 {
    let mut sql = Sql::of(service.db.location()).await;
    sql.main_batch(&format!("DELETE FROM reading WHERE reading_id > {floor}")).await;
    sql.main_batch("VACUUM").await;
    let ids = 900_000_000_i64..;
    match &mut sql {
        Sql::Postgres(client) => {
            let mut lines = Vec::new();
            for (Row { meter, at, value }, id) in rows.iter().zip(ids) {
                lines.push(format!("{meter},delivered,{at},1,{id},1,{value},actual,t,2025-06-01T06:00:00Z\n"));
            }
            let text = lines.concat();
            let began = Stopwatch::now();
            let columns = "meter_id, register, read_at, revision, reading_id, customer_id, value, quality, is_current, reported_at";
            let sink = client.copy_in(&format!("COPY reading ({columns}) FROM STDIN (FORMAT csv)")).await.unwrap();
            let mut sink = std::pin::pin!(sink);
            for piece in text.as_bytes().chunks(64 * 1024) {
                sink.send(bytes::Bytes::copy_from_slice(piece)).await.unwrap();
            }
            sink.finish().await.unwrap();
            began.elapsed().as_secs_f64()
        }
        Sql::Sqlite { main, .. } => {
            main.pragma_update(None, "foreign_keys", true).unwrap();
            let began = Stopwatch::now();
            let tx = main.transaction().unwrap();
            let insert = "INSERT INTO reading (meter_id, register, read_at, revision, reading_id, customer_id, value, quality, \
                is_current, reported_at) VALUES (?1, 'delivered', ?2, 1, ?3, 1, ?4, 'actual', 1, ?2)";
            let mut statement = tx.prepare(insert).unwrap();
            for (Row { meter, at, value }, id) in rows.iter().zip(ids) {
                statement.execute((meter, at.micros(), id, value)).unwrap();
            }
            drop(statement);
            tx.commit().unwrap();
            began.elapsed().as_secs_f64()
        }
    }
}

/// The most memory that this process held, in MiB.
fn peak() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<i64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark"]
async fn readings_by_rest_and_bare() {
    let count = env::var("ROWS").map_or(40_000, |text| text.parse().unwrap());
    let rows = rows(count);
    for engine in [EngineKind::Sqlite, EngineKind::Postgres] {
        let service = Service::start(engine).await;
        let sql = Sql::of(service.db.location()).await;
        let (before, floor) = (peak(), sql.number("SELECT max(reading_id) FROM reading").await);
        drop(sql);
        let rest = by_rest(&service, &rows).await;
        let memory = peak() - before;
        let bare = bare(&service, &rows, floor).await;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = |seconds: f64| rows.len() as f64 / seconds;
        println!(
            "{engine:?}: {} rows, REST {:.0}/s, bare {:.0}/s, ratio {:.2}, memory {before} + {memory} MiB",
            rows.len(),
            rate(rest),
            rate(bare),
            bare / rest
        );
    }
}
