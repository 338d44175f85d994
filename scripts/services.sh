#!/usr/bin/env bash
# The real servers that the tests and benchmarks use: private to this checkout, on loopback.
#
#   scripts/services.sh start|stop|status [NAME...]    by default all: postgres, keycloak
#
# `start` installs what is missing, does nothing where one runs already, and prints one line of each to standard
# output, VARIABLE=VALUE, which the tests read from their environment. `status` prints the same of those that run;
# exit code 3 when one does not. What each is and where its files lie, says scripts/services/NAME.sh.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
source "$ROOT/scripts/lib.sh"

usage() { die "usage: ./dev services start|stop|status [postgres] [keycloak]"; }

command=${1:-}
[[ $command =~ ^(start|stop|status)$ ]] || usage
shift
[[ $# -gt 0 ]] || set -- postgres keycloak
for name; do
  [[ $name =~ ^(postgres|keycloak)$ ]] || usage
done
# Alone it takes this process's place, so that whoever ends the process ends the start.
[[ $# -gt 1 ]] || exec "$ROOT/scripts/services/$1.sh" "$command"
code=0
for name; do
  "$ROOT/scripts/services/$name.sh" "$command" || code=$?
done
exit "$code"
