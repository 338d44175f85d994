#!/usr/bin/env bash
# ./dev bench read: the read path against the bare database, in one run with its rows interleaved.
# CUSTOMERS (100000), ROUNDS (3) and SECONDS_EACH (5) make it shorter or longer. Only ever loads loopback.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
command -v wrk >/dev/null || apt_install wrk
command -v pgbench >/dev/null || apt_install postgresql-contrib
cargo build --release --locked -p server --bin customer-service --example bench_load --example bench_issuer
started=0
if ! ./dev services status postgres >/dev/null 2>&1; then started=1; fi
OSSREP_TEST_POSTGRES=$(./dev services start postgres | sed -n 's/^OSSREP_TEST_POSTGRES=//p')
export OSSREP_TEST_POSTGRES
trap '[ "$started" = 0 ] || ./dev services stop postgres' EXIT
python3 scripts/bench/read.py
