#!/usr/bin/env bash
# The real PostgreSQL of the tests and benchmarks, with durable settings on: start, stop or status, for
# scripts/services.sh. `stop` leaves the data. The line is OSSREP_TEST_POSTGRES=postgres://...
# OSSREP_PG_PORT (default 54329) is the first port tried; a taken one is skipped.
#
# PostgreSQL refuses to run as root. As root, everything below runs as the user `postgres` (Debian's package makes
# it), and so the folder must be one that this user can reach: when the checkout is not (such as under /root), the
# data lies in /var/tmp instead, and .dev/services/postgres.path remembers where.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib.sh
source "$ROOT/scripts/lib.sh"

STATE="$ROOT/.dev/services"
PG_USER=postgres
# Longest socket path Linux allows is 107 bytes; "/socket/.s.PGSQL.54329" takes 22 of them.
LONGEST_HOME=85

as_pg() {
  if [[ $EUID -eq 0 ]]; then
    (cd / && exec runuser -u "$PG_USER" -- "$@")
  else
    (cd / && exec "$@")
  fi
}

# Sets PG_BIN to the programs of the newest PostgreSQL here, at least 15.
find_programs() {
  local dir
  PG_BIN=""
  while read -r dir; do
    [[ -x $dir/initdb && -x $dir/pg_ctl ]] && PG_BIN=$dir
  done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V)
  if [[ -z $PG_BIN ]] && have pg_config; then
    dir=$(pg_config --bindir)
    [[ -x $dir/initdb && -x $dir/pg_ctl ]] && PG_BIN=$dir
  fi
  [[ -n $PG_BIN ]] || return 1
  local major
  major=$("$PG_BIN/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  [[ $major -ge 15 ]] || die "PostgreSQL 15 or newer is needed; $PG_BIN has $major"
}

# Sets PG_HOME to the folder of this checkout's server, if it has one.
find_home() {
  PG_HOME=""
  [[ -r $STATE/postgres.path ]] && PG_HOME=$(<"$STATE/postgres.path")
  # A copied checkout brings along the path of the original's server, which is not its own.
  [[ $PG_HOME == "$STATE/postgres" || $PG_HOME == /var/tmp/ossrep-postgres.* ]] && [[ -d $PG_HOME ]]
}

make_home() {
  mkdir -p "$STATE"
  PG_HOME="$STATE/postgres"
  mkdir -p "$PG_HOME"
  if [[ $EUID -eq 0 ]]; then
    id "$PG_USER" >/dev/null 2>&1 || useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin "$PG_USER"
    chown "$PG_USER" "$PG_HOME"
  fi
  if [[ ${#PG_HOME} -gt $LONGEST_HOME ]] || ! as_pg test -w "$PG_HOME" -a -x "$PG_HOME" 2>/dev/null; then
    rmdir "$PG_HOME" 2>/dev/null || true
    PG_HOME=$(mktemp -d /var/tmp/ossrep-postgres.XXXXXX)
    [[ $EUID -eq 0 ]] && chown "$PG_USER" "$PG_HOME"
    note "the user $PG_USER cannot work inside this checkout; the data lies in $PG_HOME"
  fi
  as_pg chmod 700 "$PG_HOME"
  printf '%s\n' "$PG_HOME" >"$STATE/postgres.path"
}

# A cluster is made under another name and renamed when it is whole, so that a cut-off start leaves no half of one.
make_cluster() {
  as_pg test -f "$PG_HOME/data/PG_VERSION" && return
  say "making a PostgreSQL cluster in $PG_HOME"
  as_pg rm -rf "$PG_HOME/data.partial"
  as_pg mkdir -p "$PG_HOME/socket"
  as_pg "$PG_BIN/initdb" -D "$PG_HOME/data.partial" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null ||
    die "initdb failed"
  # fsync and synchronous_commit are what the service's promises rest on: the tests must run with them.
  as_pg tee -a "$PG_HOME/data.partial/postgresql.conf" >/dev/null <<CONF

# Set by scripts/services/postgres.sh
listen_addresses = '127.0.0.1'
unix_socket_directories = '$PG_HOME/socket'
max_connections = 300
fsync = on
synchronous_commit = on
full_page_writes = on
log_timezone = 'UTC'
timezone = 'UTC'
CONF
  as_pg mv "$PG_HOME/data.partial" "$PG_HOME/data"
}

running() { as_pg "$PG_BIN/pg_ctl" status -D "$PG_HOME/data" >/dev/null 2>&1; }

# Line 4 of postmaster.pid is the port.
port_in_use() { as_pg sed -n 4p "$PG_HOME/data/postmaster.pid"; }

print_url() { printf 'OSSREP_TEST_POSTGRES=postgres://postgres@127.0.0.1:%s/postgres\n' "$(port_in_use)"; }

start() {
  find_programs || {
    # The package also makes a cluster of its own ("main", port 5432), which is left alone.
    apt_install postgresql
    find_programs || die "the package postgresql is installed, but /usr/lib/postgresql/*/bin has no initdb"
  }
  mkdir -p "$STATE"
  # Two starts at once must not make two clusters.
  exec 9>"$STATE/lock"
  flock 9
  find_home || make_home
  if [[ $EUID -eq 0 && $(stat -c %U "$PG_HOME") != "$PG_USER" ]]; then
    die "$PG_HOME was made by $(stat -c %U "$PG_HOME"); start the services as that user, or remove the folder"
  fi
  make_cluster
  if running; then
    note "PostgreSQL is running already, port $(port_in_use)"
    print_url
    return
  fi
  local first=${OSSREP_PG_PORT:-54329} port log="$PG_HOME/server.log"
  for ((port = first; port < first + 50; port++)); do
    if taken "$port"; then
      note "port $port is taken"
      continue
    fi
    as_pg rm -f "$log"
    # The server must not hold this script's lock or input.
    if as_pg "$PG_BIN/pg_ctl" start -w -t 60 -D "$PG_HOME/data" -l "$log" -o "-p $port" >/dev/null 9>&- </dev/null; then
      say "PostgreSQL $(as_pg cat "$PG_HOME/data/PG_VERSION") runs on 127.0.0.1:$port (socket in $PG_HOME/socket)"
      print_url
      return
    fi
    # Someone took the port since it was looked at: try the next one. Anything else is told.
    as_pg grep -q "Address already in use" "$log" && continue
    as_pg tail -n 20 "$log" >&2
    die "PostgreSQL did not start; its log is $log"
  done
  die "no free port from $first to $((first + 49)); set OSSREP_PG_PORT"
}

stop() {
  if find_programs && find_home && running; then
    as_pg "$PG_BIN/pg_ctl" stop -w -m fast -D "$PG_HOME/data" >/dev/null || die "PostgreSQL did not stop"
    say "PostgreSQL is stopped; its data stays in $PG_HOME"
  else
    note "PostgreSQL is not running"
  fi
}

status() {
  if find_programs && find_home && running; then
    note "PostgreSQL is running, data in $PG_HOME"
    print_url
  else
    note "PostgreSQL is not running"
    return 3
  fi
}

case "${1:-}" in
start | stop | status) "$1" ;;
*) die "usage: scripts/services/postgres.sh start|stop|status" ;;
esac
