# shellcheck shell=bash
# QEMU with the machines that enclaves boot in, and the vsock device where the kernel has none.

# qemu_usable PROGRAM MACHINE
qemu_usable() {
  local version
  has "$1" || return 1
  version=$("$1" --version | sed -nE '1s/.*version ([0-9]+)\..*/\1/p')
  [ "${version:-0}" -ge 8 ] && "$1" -M help | grep -q "^$2 "
}

# qemu_ensure PROGRAM MACHINE PACKAGE
qemu_ensure() {
  if qemu_usable "$1" "$2"; then
    there "$1 with $2"
    return
  fi
  missing "$1 8 or later with $2 (package $3)" || return 0
  if [ "$HOST_CODENAME" = bookworm ]; then qemu_backport "$3"; else host_install "$3"; fi
  qemu_usable "$1" "$2" || fail "the installed $1 has no $2 or is older than 8"
}

# qemu_backport PACKAGE: bookworm's own QEMU is 7.2. Its backport is installed through a private list of sources beside
# the machine's own, so that nothing else on the machine ever comes from backports.
qemu_backport() {
  local folder=$WORK/apt/install mirror
  host_update
  # shellcheck disable=SC2016 # apt's own placeholder
  if apt-get indextargets --format '$(RELEASE)' 'Created-By: Packages' | grep -qx bookworm-backports; then
    host_install -t bookworm-backports "$1"
    return
  fi
  mirror=$(archive_mirror)
  [ -n "$mirror" ] || fail "this machine's apt sources name no Debian mirror" "set ENCLAVER_DEBIAN_MIRROR"
  mkdir -p "$folder/lists/partial"
  : >"$folder/sources.list"
  if [ -e /etc/apt/sources.list ]; then cat /etc/apt/sources.list >"$folder/sources.list"; fi
  echo "deb [arch=$(arch_debian "$MACHINE_ARCH") signed-by=$ARCHIVE_KEYRING] $mirror bookworm-backports main" >>"$folder/sources.list"
  cat >"$folder/apt.conf" <<CONF
APT::Sandbox::User "root";
Dir::Etc::SourceList "$folder/sources.list";
Dir::State::Lists "$folder/lists";
CONF
  retry apt-get -c "$folder/apt.conf" -qq update >&2 || fail "could not read bookworm-backports from $mirror"
  host_install -c "$folder/apt.conf" -t bookworm-backports "$1"
}

# Where the kernel has no vhost-vsock, a process takes its place. Only Debian's development suites have the package.
vhost_ensure() {
  if [ -c /dev/vhost-vsock ]; then
    there "/dev/vhost-vsock"
    return
  fi
  vhost_device_ensure
}

vhost_device_ensure() {
  if has vhost-device-vsock && vhost-device-vsock --version >/dev/null 2>&1; then
    there vhost-device-vsock
    return
  fi
  missing "vhost-device-vsock" || return 0
  archive_take sid vhost-device-vsock usr/bin/vhost-device-vsock /usr/local/bin
  vhost-device-vsock --version >/dev/null ||
    fail "this vhost-device-vsock does not run on this machine's C library" "use a newer Debian or Ubuntu"
}

# An emulated aarch64 processor for one program: the tests run the builder's Node for arm64 on it. Other releases call the
# program otherwise; bookworm's is static.
qemu_user_ensure() {
  if has qemu-aarch64-static; then
    there qemu-aarch64-static
  elif missing "qemu-aarch64-static (package qemu-user-static)"; then
    archive_take bookworm qemu-user-static usr/bin/qemu-aarch64-static /usr/local/bin
  fi
}
