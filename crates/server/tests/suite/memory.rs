//! What a large request took of memory, it gives back.

use std::time::{Duration, Instant};

use domain::time;
use reqwest::Method;
use store::EngineKind;

use crate::process::{Place, Running, ask, client};

const MEGABYTE: u64 = 1 << 20;

/// A figure of the process in bytes, as the kernel counts it.
fn figure(running: &Running, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_of_500_meters_by_the_hour_gives_its_memory_back() {
    let place = Place::new(EngineKind::Sqlite).await;
    let running = place.serve(&["--log-level", "error"]).await;
    let begins = time::Instant::parse("2024-12-15T00:00:00-06:00").unwrap().micros();
    let hour = time::HOUR;
    place
        .sql()
        .await
        .main_batch(&format!(
            "BEGIN;
             CREATE TEMP TABLE hours AS WITH RECURSIVE h(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM h WHERE n < 720)
                SELECT n FROM h;
             INSERT INTO meter (meter_id, service_point_id, wires_company_id, meter_number, type, status, multiplier,
                dials, registers, installed_on, installed_at, version, created_at, updated_at)
                SELECT 100000 + n, service_point_id, wires_company_id, meter_number || '-' || n, type, status, multiplier,
                dials, registers, installed_on, installed_at, version, created_at, updated_at
                FROM meter, hours WHERE meter_id = 3001 AND n < 500;
             INSERT INTO reading SELECT meter_id, 'delivered', {begins} + n * {hour}, 1, 1000000 + meter_id * 1000 + n,
                1, n * 1000, 'actual', 1, {begins} + n * {hour}, NULL FROM meter, hours WHERE meter_id >= 100000;
             COMMIT"
        ))
        .await;
    let client = client();
    let token = running.token(&client, "alice").await;
    let usage = async |days: u32| {
        let path = format!("/api/accounts/1001/usage?groupBy=hour&from=2024-12-15&to=2024-12-{}", 15 + days);
        let path = if days == 30 { path.replace("2024-12-45", "2025-01-14") } else { path };
        let (status, body) =
            ask(&client, (Method::GET, format!("{}{path}", running.base)), &token, "usage", None).await.unwrap();
        assert_eq!(status, 200, "{body}");
        body
    };
    usage(1).await;
    let before = figure(&running, "VmRSS");
    let began = Instant::now();
    for _ in 0..3 {
        let body: serde_json::Value = serde_json::from_str(&usage(30).await).unwrap();
        assert_eq!(body["buckets"].as_array().unwrap().len(), 720);
        let used = body["buckets"][0]["usage"].as_f64().unwrap();
        assert!((500.0..510.0).contains(&used), "a kWh of each, and what the meter that was there counted: {used}");
    }
    let (most, asked) = (figure(&running, "VmHWM"), Instant::now());
    let mut after = figure(&running, "VmRSS");
    while after > before + 32 * MEGABYTE && asked.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        usage(1).await;
        after = figure(&running, "VmRSS");
    }
    let [before, most, after] = [before, most, after].map(|bytes| bytes / MEGABYTE);
    println!("{before} MB before, {most} at most, {after} afterwards; {:?}, {:?}", asked - began, asked.elapsed());
    assert!(most > before + 64, "{most} MB: there was nothing to give back");
    assert!(after <= before + 32, "{before} MB before, {after} MB afterwards");
    assert_eq!(running.terminate().await, 0);
}
