# shellcheck shell=bash
# Packages of the machine's own distribution.

# host_refuse_others: only machines this script was written for.
host_refuse_others() {
  case " $ARCHES " in
    *" $MACHINE_ARCH "*) ;;
    *) fail "this machine is $MACHINE_ARCH; set-up knows $ARCHES" ;;
  esac
  [ -r /etc/os-release ] || fail "no /etc/os-release; set-up knows Debian 12 and later and Ubuntu 24.04 and later"
  HOST_ID=$(. /etc/os-release && echo "${ID:-}")
  HOST_VERSION=$(. /etc/os-release && echo "${VERSION_ID:-}")
  # shellcheck disable=SC2034 # read by the steps
  HOST_CODENAME=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  case $HOST_ID in
    debian) [ -z "$HOST_VERSION" ] || [ "${HOST_VERSION%%.*}" -ge 12 ] && return ;; # testing and sid have no number
    ubuntu) [ "${HOST_VERSION%%.*}" -ge 24 ] && return ;;
  esac
  fail "this machine is ${HOST_ID:-unknown} $HOST_VERSION; set-up knows Debian 12 and later and Ubuntu 24.04 and later"
}

# host_update: the machine's package lists, once per run.
host_update() {
  [ -e "$WORK/updated" ] && return
  say "reading the package lists of this machine's sources"
  retry apt-get -qq update >&2 || fail "apt-get update failed" "mend the machine's apt sources"
  touch "$WORK/updated"
}

# host_install [-c FILE] PACKAGE…: no recommended packages, and no service started or enabled: nats-server and
# docker-registry would otherwise listen on every address from now on.
host_install() {
  local policy=/usr/sbin/policy-rc.d unit before
  host_update
  before=$(host_enabled)
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
    POLICY_MADE=$policy
  fi
  DEBIAN_FRONTEND=noninteractive retry apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confold install --no-install-recommends "$@" </dev/null >"$WORK/apt.log" 2>&1 || {
    tail -n 20 "$WORK/apt.log" >&2
    fail "apt-get install $* failed"
  }
  host_policy_away
  for unit in $(host_enabled); do
    case $'\n'$before$'\n' in
      *$'\n'"$unit"$'\n'*) ;;
      *) systemctl --quiet disable "$unit" 2>/dev/null && say "left $unit disabled" ;;
    esac
  done
}

# host_enabled: those of the units our packages bring that start at boot.
host_enabled() {
  local unit
  [ -d /run/systemd/system ] || return 0
  for unit in nats-server.service docker-registry.service haproxy.service nginx.service squid.service tinyproxy.service rsyslog.service docker.service docker.socket containerd.service; do
    if systemctl --quiet is-enabled "$unit" 2>/dev/null; then echo "$unit"; fi
  done
}

host_policy_away() {
  if [ -n "${POLICY_MADE:-}" ]; then rm -f "$POLICY_MADE"; fi
  POLICY_MADE=
}

# host_ensure: reads lines "THING PACKAGE" (THING: a command, or a file by its path) and installs what is missing.
host_ensure() {
  local thing package wanted=()
  while read -r thing package; do
    case $thing in
      /*) [ -e "$thing" ] ;;
      *) has "$thing" ;;
    esac && there "$thing" && continue
    if missing "$thing (package $package)"; then wanted+=("$package"); fi
  done
  if [ "${#wanted[@]}" -gt 0 ]; then host_install "${wanted[@]}"; fi
}
