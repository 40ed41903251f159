# shellcheck shell=bash
# What scripts print, and the small things all of them need. Progress goes to stderr, results to stdout.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# fail MESSAGE [REMEDY]
fail() {
  say "error: $1"
  if [ -n "${2:-}" ]; then say "  remedy: $2"; fi
  exit 1
}

# retry COMMAND…: three tries, for what crosses the network.
retry() {
  local try
  for try in 1 2 3; do
    if "$@"; then return 0; fi
    if [ "$try" -lt 3 ]; then
      say "try $try of 3 failed: $*"
      sleep "$try"
    fi
  done
  return 1
}

sha256() { sha256sum <"$1" | cut -d' ' -f1; }

has() { command -v "$1" >/dev/null 2>&1; }
