#!/usr/bin/env bash
# The real Keycloak of the tests: start, stop or status, for scripts/services.sh. One process, one port on loopback,
# both realms of deploy/keycloak imported; its data lies in memory and ends with it. The line is
# OSSREP_TEST_KEYCLOAK=http://admin:PASSWORD@127.0.0.1:PORT, with an administrator's password made at each start.
# OSSREP_KEYCLOAK_PORT (default 54390) is the first port tried; a taken one is skipped.
#
# The distribution comes from Maven's central repository, where Maven keeps it for the next checkout (~/.m2). Its own
# build takes some 20 s of a core, once, and each start as much.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib.sh
source "$ROOT/scripts/lib.sh"

VERSION=26.7.4
PLACE="$ROOT/.dev/services/keycloak"
DIST="$PLACE/keycloak-$VERSION"
LOG="$PLACE/server.log"
# Short-lived: the first compiler alone takes half the time, and the serial collector less memory.
export JAVA_OPTS="-Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dfile.encoding=UTF-8"

need_java() {
  local version
  have mvn || apt_install maven
  have java || apt_install default-jre-headless
  version=$(java -version 2>&1 | sed -n '1s/[^"]*"\([0-9]*\).*/\1/p')
  [[ ${version:-0} -ge 17 ]] || die "Keycloak needs Java 17 or newer; this is ${version:-unknown} ($(command -v java))"
}

# The file `built` is made last, so that what was cut off begins anew.
install() {
  [[ -e $DIST/built ]] && return
  need_java
  local unpacked="$PLACE/unpacked" log="$PLACE/install.log"
  rm -rf "$DIST" "$unpacked"
  mkdir -p "$unpacked"
  say "installing Keycloak $VERSION; the first time this takes a minute"
  # Maven leaves a folder of its own where it runs.
  (cd "$unpacked" && mvn -B -q org.apache.maven.plugins:maven-dependency-plugin:3.6.1:unpack \
    "-Dartifact=org.keycloak:keycloak-quarkus-dist:$VERSION:zip" "-DoutputDirectory=$unpacked") >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "Maven could not bring Keycloak; its output is $log"
  }
  mv "$unpacked/keycloak-$VERSION" "$DIST"
  rm -rf "$unpacked"
  bash "$DIST/bin/kc.sh" build --db=dev-mem >>"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "Keycloak's own build failed; its output is $log"
  }
  touch "$DIST/built"
}

# Whether the process that was started is there and is still ours: ids of processes come again.
running() {
  local pid
  [[ -r $PLACE/pid && -r $PLACE/line ]] || return 1
  pid=$(<"$PLACE/pid")
  [[ -r /proc/$pid/cmdline ]] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "$DIST"
}

same_realms() { diff -rq "$ROOT/deploy/keycloak" "$DIST/data/import" >/dev/null 2>&1; }

start() {
  mkdir -p "$PLACE"
  exec 9>"$PLACE/lock"
  flock 9
  if running && same_realms; then
    note "Keycloak is running already"
    cat "$PLACE/line"
    return
  fi
  # It has older realms.
  stop
  install
  mkdir -p "$DIST/data"
  rm -rf "$DIST/data/import"
  cp -r "$ROOT/deploy/keycloak" "$DIST/data/import"
  local first=${OSSREP_KEYCLOAK_PORT:-54390} port password pid
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  for ((port = first; port < first + 50; port++)); do
    if taken "$port"; then
      note "port $port is taken"
      continue
    fi
    # The server must not hold this script's lock or input. A session of its own makes it one group to be stopped.
    KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD=$password \
      setsid bash "$DIST/bin/kc.sh" start --optimized --import-realm --cache=local --http-enabled=true \
      --http-host=127.0.0.1 "--http-port=$port" "--hostname=http://127.0.0.1:$port" \
      >"$LOG" 2>&1 9>&- </dev/null &
    pid=$!
    (umask 077 && printf 'OSSREP_TEST_KEYCLOAK=http://admin:%s@127.0.0.1:%s\n' "$password" "$port" >"$PLACE/line")
    printf '%s\n' "$pid" >"$PLACE/pid"
    if wait_for "$pid"; then
      say "Keycloak $VERSION runs on 127.0.0.1:$port"
      cat "$PLACE/line"
      return
    fi
    # Someone took the port since it was looked at: try the next one. Anything else is told.
    grep -q "already in use" "$LOG" && continue
    tail -n 20 "$LOG" >&2
    stop
    die "Keycloak did not start; its log is $LOG"
  done
  die "no free port from $first to $((first + 49)); set OSSREP_KEYCLOAK_PORT"
}

# wait_for PID: until it listens, which it does when the realms are imported; three minutes at most.
wait_for() {
  local tick
  for ((tick = 0; tick < 900; tick++)); do
    grep -q "Listening on: http" "$LOG" && return
    kill -0 "$1" 2>/dev/null || return 1
    sleep 0.2
  done
  return 1
}

stop() {
  if ! running; then
    [[ ${1:-} == told ]] && note "Keycloak is not running"
    rm -f "$PLACE/pid" "$PLACE/line"
    return
  fi
  local pid tick
  pid=$(<"$PLACE/pid")
  kill -TERM -- "-$pid" 2>/dev/null || true
  for ((tick = 0; tick < 100; tick++)); do
    kill -0 -- "-$pid" 2>/dev/null || break
    sleep 0.2
  done
  # Nothing is lost: its data lies in memory.
  kill -KILL -- "-$pid" 2>/dev/null || true
  rm -f "$PLACE/pid" "$PLACE/line"
  say "Keycloak is stopped"
}

status() {
  if running; then
    note "Keycloak is running, log in $LOG"
    cat "$PLACE/line"
  else
    note "Keycloak is not running"
    return 3
  fi
}

case "${1:-}" in
start | status) "$1" ;;
stop) stop told ;;
*) die "usage: scripts/services/keycloak.sh start|stop|status" ;;
esac
