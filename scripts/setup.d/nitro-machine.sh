# shellcheck shell=bash
# QEMU's machine `nitro-enclave`, which measures and boots an EIF as it is: the second opinion of the tests. Debian's own
# build lacks it, so it is made from Debian's source package, of a suite whose QEMU the tests know.

NITRO_SUITE=trixie
# What the machine needs and nothing else: every feature takes time to compile.
NITRO_FEATURES=(system kvm tcg fdt libcbor gnutls vhost-user vhost-kernel pixman)
NITRO_PACKAGES=(dpkg-dev gcc libc6-dev ninja-build pkg-config python3-venv
  libcbor-dev libfdt-dev libglib2.0-dev libgnutls28-dev libpixman-1-dev zlib1g-dev)

# nitro_usable PROGRAM: it runs with this machine's libraries, and has the machine.
nitro_usable() { "$1" -M help 2>/dev/null | grep -q '^nitro-enclave '; }

# nitro_folder PROGRAM: where a compiled one lies (bin, share/qemu); nothing for an installed one.
nitro_folder() { case $(readlink -f "$1") in "$ENCLAVER_CACHE"/*/bin/*) dirname "$(dirname "$(readlink -f "$1")")" ;; esac }

nitro_machine_ensure() {
  local installed folder
  folder=$(nitro_folder "$ENCLAVER_QEMU_NITRO")
  if nitro_usable "$ENCLAVER_QEMU_NITRO"; then
    if [ -z "$folder" ] || [ -e "$folder/share/qemu/qboot.rom" ]; then
      there "QEMU with nitro-enclave"
    elif missing "firmware of QEMU with nitro-enclave"; then
      nitro_firmware "$folder" || fail "could not fetch the firmware" "set ENCLAVER_DEBIAN_MIRROR"
    fi
    return
  fi
  missing "QEMU with nitro-enclave" || return 0
  mkdir -p "${ENCLAVER_QEMU_NITRO%/*}"
  installed=$(command -v qemu-system-x86_64 || true)
  if [ -z "$installed" ] || ! nitro_usable "$installed"; then installed=$(nitro_build) || exit 1; fi
  ln -sfn "$installed" "$ENCLAVER_QEMU_NITRO"
  nitro_usable "$ENCLAVER_QEMU_NITRO" || fail "$installed does not run or has no machine nitro-enclave"
}

# nitro_build: compiles it into the cache, prints the program. It finds its firmware beside itself (bin, share/qemu).
nitro_build() {
  local work=$WORK/qemu-nitro version folder
  version=$(nitro_source "$work/apt") && [ -n "$version" ] ||
    fail "the Debian mirror has no source of qemu in $NITRO_SUITE" "set ENCLAVER_DEBIAN_MIRROR"
  # Without the epoch: a colon has a meaning in many a path
  folder=$ENCLAVER_CACHE/qemu-nitro/${version#*:}
  host_install "${NITRO_PACKAGES[@]}"
  say "compiling qemu $version ($NITRO_SUITE), some minutes"
  if ! { nitro_fetch "$work" "$version" && nitro_compile "$work"; } >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    fail "qemu $version does not compile on this machine (its last words are above)"
  fi
  rm -rf "$folder"
  mv "$work/tree" "$folder"
  rm -rf "$work"
  echo "$folder/bin/qemu-system-x86_64"
}

# nitro_source FOLDER: a private apt configuration for the sources of the suite; prints their newest version.
nitro_source() {
  local conf
  conf=$(archive_open "$NITRO_SUITE") || return
  mkdir -p "$1/lists/partial"
  sed -n 's/^deb /deb-src /p' "${conf%/*}/sources.list" >"$1/sources.list"
  cat "$conf" - >"$1/apt.conf" <<CONF
Dir::Etc::SourceList "$1/sources.list";
Dir::State::Lists "$1/lists";
CONF
  retry archive_update "$1" || { cat "$1/log" >&2 && return 1; }
  apt-cache -c "$1/apt.conf" --only-source showsrc qemu | awk '$1 == "Version:" { print $2 }' | sort -V | tail -n 1
}

# nitro_fetch FOLDER VERSION: source unpacked to FOLDER/source, meson to FOLDER/meson, firmware into FOLDER/tree.
nitro_fetch() {
  local work=$1 meson
  cd "$work" || return
  # apt checks the files against the signed index, dpkg-source once more against the package's own description
  retry apt-get -c apt/apt.conf -qq --only-source --download-only source "qemu=$2" &&
    dpkg-source -x qemu_*.dsc source &&
    meson=$(nitro_tree meson) && mv "$meson/usr/lib/python3/dist-packages" meson && nitro_firmware tree
}

# nitro_firmware FOLDER: what the machine starts with, with ACPI (bios-microvm.bin) and without (qboot.rom).
nitro_firmware() {
  local seabios data
  seabios=$(nitro_tree seabios) && data=$(nitro_tree qemu-system-data) &&
    install -D -m 0644 -t "$1/share/qemu" "$seabios/usr/share/seabios/bios-microvm.bin" \
      "$data"/usr/share/qemu/{linuxboot_dma.bin,qboot.rom}
}

# nitro_tree PACKAGE: the newest of the suite, unpacked. meson too: that of older releases is too old for this source.
nitro_tree() {
  local version
  version=$(archive_newest "$NITRO_SUITE" "$1") && [ -n "$version" ] && archive_tree "$NITRO_SUITE" "$1" "$version"
}

# nitro_compile FOLDER: FOLDER/source to FOLDER/tree/bin.
nitro_compile() {
  local work=$1
  printf 'CONFIG_NITRO_ENCLAVE=y\nCONFIG_MICROVM=y\n' >"$work/source/configs/devices/x86_64-softmmu/nitro.mak" &&
    mkdir "$work/build" && cd "$work/build" || return
  export PYTHONPATH=$work/meson
  ../source/configure --prefix=/usr --target-list=x86_64-softmmu --python=/usr/bin/python3 --disable-download \
    --without-default-features --without-default-devices --with-devices-x86_64=nitro \
    --disable-debug-info --disable-install-blobs --disable-docs --disable-werror "${NITRO_FEATURES[@]/#/--enable-}" &&
    nice -n 10 ninja qemu-system-x86_64 &&
    install -D -s -m 0755 qemu-system-x86_64 "$work/tree/bin/qemu-system-x86_64"
}
