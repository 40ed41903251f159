# shellcheck shell=bash
# What ends up inside an enclave and comes from Debian: the guest kernel with its modules, and the libraries of Node.
# Both are the packages that enclaver.lock.json pins, never the machine's own, so that every machine measures the same.

# guest_verify LOCK: every file there, with the bytes the lock names.
guest_verify() {
  local records kind group package path sha
  records=$(lock_records "$1") || exit 1
  while IFS=$'\t' read -r kind group package path sha; do
    [ "$kind" = file ] || continue
    path=$(package_folder "$group" "${package%%_*}" "${package#*_}")/$path
    [ -f "$path" ] && [ "$(sha256 "$path")" = "$sha" ] || return 1
  done <<<"$records"
}

# guest_copy TREE PATH TO: one file of an unpacked package, modules decompressed.
guest_copy() {
  local tree=$1 path=$2 to=$3 found
  mkdir -p "$(dirname "$to")"
  case $path in
    vmlinuz) found=$(find "$tree/boot" -name 'vmlinuz-*' -type f) ;;
    modules/*) found=$(find "$tree" -name "${path#modules/}.xz" -o -name "${path#modules/}" | head -n 1) ;;
    *) found=$(find "$tree/lib" "$tree/usr/lib" -name "$path" 2>/dev/null | head -n 1) ;;
  esac
  [ -n "$found" ] || fail "the package in ${tree##*/} has no $path any more" "take it out of enclaver.lock.json"
  case $found in
    *.xz) xz -dc "$found" >"$to" ;;
    *) cat "$found" >"$to" ;;
  esac
  chmod 0644 "$to"
}

# guest_choose GROUP NAME VERSION SUITE WISH: prints "NAME VERSION SUITE" of what to take. WISH is "pinned" (the pinned
# version where a mirror still has it, else the newest) or "newest".
guest_choose() {
  local group=$1 name=$2 version=$3 suite=$4 wish=$5 series other found
  for other in "$suite" trixie bookworm-backports; do
    archive_open "$other" >/dev/null || if [ $? -eq 1 ]; then continue; else exit 1; fi
    if [ "$wish" = pinned ] && [ "$other" = "$suite" ] && archive_has "$suite" "$name" "$version"; then
      echo "$name $version $suite"
      return
    fi
    if [ "$group" = kernel ]; then
      series=$(sed -E 's/^linux-image-([0-9]+\.[0-9]+).*/\1/' <<<"$name")
      found=$(archive_newest_kernel "$other" "$series") || continue
      [ -n "$found" ] || continue
    else
      found=$name
    fi
    version=$(archive_newest "$other" "$found") || continue
    if [ -n "$version" ]; then
      echo "$found $version $other"
      return
    fi
  done
  fail "the Debian mirror has no $name and nothing to take in its place" \
    "set ENCLAVER_DEBIAN_MIRROR to a mirror or a snapshot that has it"
}

# guest_install LOCK WISH: puts the files of every package into the cache and prints the records of what was taken.
guest_install() {
  local lock=$1 wish=$2 records kind group a b c d name version suite tree sha folder deb
  records=$(lock_records "$lock") || exit 1
  while IFS=$'\t' read -r kind group a b c d <&3; do
    if [ "$kind" = package ]; then
      read -r name version suite <<<"$(guest_choose "$group" "$a" "$b" "$c" "$wish")"
      [ -n "$suite" ] || exit 1
      tree=$(archive_tree "$suite" "$name" "$version") || fail "could not download $name $version"
      deb=$(sha256 "$tree.deb")
      if [ "${GUEST_REPIN:-no}" = no ] && [ "$name $version" = "$a $b" ] && [ "$deb" != "$d" ]; then
        fail "$name $version from the mirror is not the package the lock file pins (sha256 $deb, pinned $d)" \
          "use another mirror (ENCLAVER_DEBIAN_MIRROR)"
      fi
      say "taking $name $version ($suite)"
      folder=$(package_folder "$group" "$name" "$version")
      printf 'package\t%s\t%s\t%s\t%s\t%s\n' "$group" "$name" "$version" "$suite" "$deb"
    else
      guest_copy "$tree" "$b" "$folder/$b.part"
      sha=$(sha256 "$folder/$b.part")
      mv "$folder/$b.part" "$folder/$b"
      printf 'file\t%s\t%s\t%s\t%s\n' "$group" "${name}_$version" "$b" "$sha"
    fi
  done 3<<<"$records"
}

# guest_ensure: the step of set-up.
guest_ensure() {
  local lock taken substitute
  lock=$(lock_effective)
  if guest_verify "$lock"; then
    there "guest kernel and libraries in $ENCLAVER_CACHE"
    [ "$lock" = "$ENCLAVER_LOCK" ] || guest_warn "$lock"
    return
  fi
  missing "guest kernel and libraries of enclaver.lock.json" || return 0
  taken=$(guest_install "$ENCLAVER_LOCK" pinned) || exit 1
  guest_verify "$ENCLAVER_LOCK" && return
  substitute=$ENCLAVER_SUBSTITUTES/$(sha256 "$ENCLAVER_LOCK").json
  mkdir -p "$ENCLAVER_SUBSTITUTES"
  lock_print "$taken" "$(lock_node "$ENCLAVER_LOCK")" >"$substitute.part"
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
