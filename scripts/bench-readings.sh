#!/usr/bin/env bash
# ./dev bench readings: readings by REST against COPY (PostgreSQL) and against prepared inserts (SQLite) of the same rows,
# in one run. ROWS (200000) makes it shorter or longer. Only ever loads loopback.
set -euo pipefail
cd "$(dirname "$0")/.."
started=0
if ! ./dev services status postgres >/dev/null 2>&1; then started=1; fi
OSSREP_TEST_POSTGRES=$(./dev services start postgres | sed -n 's/^OSSREP_TEST_POSTGRES=//p')
export OSSREP_TEST_POSTGRES ROWS=${ROWS:-200000}
trap '[ "$started" = 0 ] || ./dev services stop postgres' EXIT
cargo test --release --locked -p server --test suite -- --ignored --nocapture meters::bench
