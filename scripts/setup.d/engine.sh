# shellcheck shell=bash
# Docker Engine 26 or later with Compose and buildx, for the tests only. An engine that already answers is left alone.

engine_version() { "$1" --version 2>/dev/null | sed -nE 's/.*version ([0-9]+)\..*/\1/p'; }

engine_usable() {
  has docker || return 1
  docker version >/dev/null 2>&1 && return
  has dockerd && [ "$(engine_version dockerd)" -ge 26 ] && has containerd && has runc && has iptables
}

engine_ensure() {
  if engine_usable && docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; then
    there "Docker Engine with Compose and buildx"
    return
  fi
  missing "Docker Engine 26 or later with Compose and buildx" || return 0
  case $HOST_ID:$HOST_CODENAME in
    debian:bookworm) engine_unpack ;;
    debian:*) host_install docker.io docker-cli docker-compose docker-buildx ;;
    ubuntu:*) host_install docker.io docker-compose-v2 docker-buildx ;;
  esac
  engine_usable || fail "the installed Docker Engine is older than 26 or misses a part"
  if ! docker compose version >/dev/null || ! docker buildx version >/dev/null; then
    fail "a Docker plugin does not run"
  fi
}

# Bookworm's own engine is 20.10: trixie's programs run on bookworm's containerd, runc and iptables.
engine_unpack() {
  local plugins=/usr/local/lib/docker/cli-plugins
  host_install containerd runc iptables tini
  if ! has dockerd || [ "$(engine_version dockerd)" -lt 26 ]; then
    archive_take trixie docker.io usr/sbin/dockerd /usr/local/sbin
    archive_take trixie docker.io usr/sbin/docker-proxy /usr/local/sbin
    ln -sfn /usr/bin/tini-static /usr/local/bin/docker-init
  fi
  has docker || archive_take trixie docker-cli usr/bin/docker /usr/local/bin
  mkdir -p "$plugins"
  docker compose version >/dev/null 2>&1 || archive_take trixie docker-compose usr/libexec/docker/cli-plugins/docker-compose "$plugins"
  docker buildx version >/dev/null 2>&1 || archive_take trixie docker-buildx usr/libexec/docker/cli-plugins/docker-buildx "$plugins"
}
