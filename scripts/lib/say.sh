# shellcheck shell=bash
# What scripts print, and the small things all of them need. Progress goes to stderr, results to stdout.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# fail MESSAGE [REMEDY]
fail() {
  say "error: $1"
  if [ -n "${2:-}" ]; then say "  remedy: $2"; fi
  exit 1
}

# retry COMMAND…: a second try, for what crosses the network. apt itself repeats a broken download three times; this is
# for a mirror that was just being renewed.
retry() {
  if "$@"; then return 0; fi
  say "trying once more: $*"
  sleep 3
  "$@"
}

sha256() { sha256sum <"$1" | cut -d' ' -f1; }

has() { command -v "$1" >/dev/null 2>&1; }
