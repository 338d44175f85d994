# shellcheck shell=bash
# Shared by ./dev and scripts/*.sh: messages, and packages that are installed when they are missing.
# Everything said goes to standard error; standard output belongs to what a script returns.

say() { printf '==> %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# taken PORT: whether somebody listens there on loopback.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# as_root COMMAND...: as root, or through sudo. Without a terminal sudo must not ask for a password.
as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  elif have sudo && [[ -t 0 ]]; then
    sudo "$@"
  elif have sudo; then
    sudo -n "$@"
  else
    return 127
  fi
}

# apt_install PACKAGE...: Debian packages. Called only when something is missing.
apt_install() {
  local log="$ROOT/.dev/log/apt.log"
  mkdir -p "${log%/*}"
  have apt-get || die "missing: $*. This system has no apt-get; install them by hand and start again."
  if [[ $EUID -ne 0 ]] && ! have sudo; then
    die "missing: $*. Run as root: apt-get install $*"
  fi
  say "installing with apt-get: $*"
  if ! as_root apt-get update >"$log" 2>&1; then
    note "apt-get update failed; trying with the package lists that are there"
  fi
  if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "apt-get install $* failed; the whole output is in $log"
  fi
}

# Rust, at least the version that Cargo.toml asks for. Debian's own is too old, so it is not installed from there.
need_rust() {
  local wanted found
  [[ -d ${HOME:-}/.cargo/bin ]] && PATH="$PATH:$HOME/.cargo/bin"
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -n 1)
  have cargo || die "Rust $wanted or newer is needed, and there is no cargo on the PATH. See https://rustup.rs"
  found=$(cd "$ROOT" && rustc --version | cut -d ' ' -f 2)
  if [[ $(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1) != "$wanted" ]]; then
    die "Rust $wanted or newer is needed; this is $found. With rustup: rustup update stable"
  fi
}

# For the tests in a browser: Chromium and its WebDriver, which must be of the same version.
need_browser() {
  have chromedriver && return
  apt_install chromium chromium-driver
  have chromedriver || die "there is no chromedriver on the PATH"
}

need_c_compiler() {
  have cc && return
  apt_install gcc libc6-dev
  have cc || die "there is no C compiler (cc) on the PATH"
}
