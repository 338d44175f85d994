#!/usr/bin/env bash
# Stands in for rustdoc under `cargo test --doc`: writes a library's documentation into target/doc, with warnings as
# errors, and then tests its examples. `cargo doc` would first check every dependency once more; what the tests were
# built from has all that is needed.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

document() { rustdoc "$@" -D warnings --document-private-items --out-dir "$ROOT/target/doc"; }

if [[ " $* " == *" --test "* ]]; then
  library=() program=() skip=0
  for argument in "$@"; do
    if [[ $skip -eq 1 ]]; then
      skip=0
      continue
    fi
    case "$argument" in
    --test) continue ;;
    --test-run-directory | --test-args) skip=1 && continue ;;
    esac
    library+=("$argument")
    # The program sees what its library sees, and the library.
    case "$argument" in
    server) program+=(customer_service) ;;
    */src/lib.rs) program+=("${argument%lib.rs}main.rs") ;;
    *) program+=("$argument") ;;
    esac
  done
  document "${library[@]}"
  [[ " $* " != *" --crate-name server "* ]] || document "${program[@]}"
fi
exec rustdoc "$@"
