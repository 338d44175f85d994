#!/usr/bin/env bash
# Schemathesis against the running service: requests made up from the OpenAPI description, valid and broken ones,
# as demonstration customers, side by side. Anything it finds fails this script.
#
#   scripts/schemathesis.sh [USER...]     by default alice and bob (a person, a business) with the customers'
#                                         operations, mjones (a supervisor) and billing (a service) with theirs
#
# CUSTOMER_SERVICE  the binary (default target/debug/customer-service)
# SEED, EXAMPLES    the random seed, and the most cases generated for one operation and phase
#
# Reports and logs are in .dev/schemathesis/.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
source "$ROOT/scripts/lib.sh"

BINARY=${CUSTOMER_SERVICE:-$ROOT/target/debug/customer-service}
SEED=${SEED:-20250115}
EXAMPLES=${EXAMPLES:-20}
OUT="$ROOT/.dev/schemathesis"
VENV="$ROOT/.dev/venv"

# Checks that are off, each with its reason. Everything else that this version of schemathesis knows is on.
DISABLED=(
  # A schema cannot say "equal to what is stored": read-only members of a PUT must be (422), and If-Match must name
  # the current version (412). So valid data may rightly be refused. That every GET body put back is accepted is
  # shown by the acceptance suite.
  positive_data_acceptance
)

# A private environment with the pinned versions of tests/requirements.txt, made again when that file changes.
prepare_environment() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv
  if "$VENV/bin/schemathesis" --version >/dev/null 2>&1 &&
    cmp -s "$ROOT/tests/requirements.txt" "$VENV/installed.txt"; then
    return
  fi
  say "installing schemathesis into .dev/venv"
  rm -rf "$VENV"
  python3 -m venv "$VENV"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-input -r "$ROOT/tests/requirements.txt"
  "$VENV/bin/schemathesis" --version >/dev/null
  cp "$ROOT/tests/requirements.txt" "$VENV/installed.txt"
}

tool() { python3 "$ROOT/scripts/schemathesis_prepare.py" "$@"; }

SERVER=""
DATA=""
RUNS=()
stop_all() {
  if [[ -n $SERVER ]]; then
    kill "$SERVER" "${RUNS[@]}" 2>/dev/null || true
    wait "$SERVER" "${RUNS[@]}" 2>/dev/null || true
    SERVER=""
  fi
  [[ -z $DATA ]] || rm -rf "$DATA"
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_server() {
  [[ -x $BINARY ]] || die "$BINARY is not built: cargo build --locked --bin customer-service"
  local api management
  read -r api management < <(tool ports 2)
  BASE="http://127.0.0.1:$api"
  DATA=$(mktemp -d)
  # Rates are tested elsewhere; here each 429 would only be waited out.
  "$BINARY" serve --demo --as-of 2025-01-15T12:00:00-06:00 --data-dir "$DATA/demo" \
    --limits-requests-per-second 100000 --limits-burst 100000 --limits-failed-logins-per-minute 1000000 \
    --listen "127.0.0.1:$api" --management-listen "127.0.0.1:$management" >"$OUT/server.log" 2>&1 </dev/null &
  SERVER=$!
  if ! tool wait "http://127.0.0.1:$management/health/ready" 30 "$SERVER"; then
    tail -n 20 "$OUT/server.log" >&2
    die "the service did not start; its log is $OUT/server.log"
  fi
}

# run_as USER: all phases, one worker and a fixed seed, so that a second run does the same.
run_as() {
  local user=$1 token config="$OUT/$1.toml" excluded operations
  token=$(tool token "$BASE" "$user") || die "no token for $user"
  tool config "$BASE" "$token" "$user" >"$config" || die "no configuration for $user"
  # Who may do nothing of an operation tests no more of it than one 403.
  case "$user" in
  mjones) operations=(--include-tag Staff) ;;
  billing)
    operations=()
    for operation in reportBalances reportPaymentMethods fetchCustomers fetchAccounts fetchPremises fetchMeters; do
      operations+=(--include-operation-id "$operation")
    done
    ;;
  # Claims are throttled by design: each 429 would be waited out for as long as it says.
  *) operations=(--exclude-tag Staff --exclude-tag Integration --exclude-operation-id claimCustomer) ;;
  esac
  excluded=$(
    IFS=,
    printf '%s' "${DISABLED[*]}"
  )
  local failed=0
  (
    cd "$OUT"
    "$VENV/bin/schemathesis" --no-color --config-file "$config" run "$BASE/api/openapi.json" \
      --header "Authorization: Bearer $token" \
      "${operations[@]}" --checks all ${excluded:+--exclude-checks "$excluded"} \
      --seed "$SEED" --max-examples "$EXAMPLES" --workers 1 \
      --generation-database none \
      --rate-limit auto --request-timeout 65 --continue-on-failure \
      --suppress-health-check all \
      --report junit --report-junit-path "$OUT/$user.xml"
  ) </dev/null || failed=1
  kill -0 "$SERVER" 2>/dev/null || die "the service ended during the run; its log is $OUT/server.log"
  # With an expired token the rest of a run would have met nothing but 401.
  tool alive "$BASE" "$token" || die "the token of $user did not last for the whole run"
  return "$failed"
}

mkdir -p "$OUT"
prepare_environment
start_server
[[ $# -gt 0 ]] || set -- alice bob mjones billing
say "schemathesis as: $*"
for user in "$@"; do
  run_as "$user" >"$OUT/$user.log" 2>&1 &
  RUNS+=("$!")
done
FINDINGS=()
users=("$@")
for i in "${!RUNS[@]}"; do
  wait "${RUNS[i]}" || FINDINGS+=("${users[i]}")
  cat "$OUT/${users[i]}.log" >&2
done
[[ ${#FINDINGS[@]} -eq 0 ]] || die "schemathesis found something as: ${FINDINGS[*]}"
say "schemathesis found nothing as: $*"
