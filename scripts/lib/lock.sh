# shellcheck shell=bash
# Reads enclaver.lock.json without a JSON parser: a fresh machine has none. The file has one key per line (that is how
# scripts/lock writes it and the formatter keeps it), so awk is enough; a file of another shape is refused.

# lock_records FILE ARCH: prints, tab-separated and in file order
#   package GROUP NAME VERSION SUITE SHA256     (GROUP: kernel, headers, kbuild, libs, musl or node)
#   file    GROUP NAME PATH SHA256              (PATH inside the package's cache folder; with a slash at its end a folder)
lock_records() {
  awk -F'"' -v arch="$2" '
    function package_out() {
      if (!printed) { print "package\t" group "\t" name "\t" version "\t" suite "\t" sha; printed = 1 }
    }
    /^  "[a-z0-9_]+": \{/ { inside = ($2 == arch) }
    !inside { next }
    /^    "[a-z]+": \[/ { group = $2; next }
    /^ *"package": "/ { name = $4; version = suite = sha = path = ""; printed = 0; next }
    /^ *"version": "/ { version = $4; next }
    /^ *"suite": "/ { suite = $4; next }
    /^ *"path": "/ { package_out(); path = $4; next }
    /^ *"sha256": "/ {
      if (path == "") { sha = $4; next }
      print "file\t" group "\t" name "\t" path "\t" $4; path = ""; files++
    }
    END { if (files == 0) exit 1 }
  ' "$1" || fail "$1 has not the shape that scripts/lock writes: write it again with scripts/lock"
}

# lock_effective: the lock file whose files this machine has: the checkout's own, or what was taken in its place.
lock_effective() {
  local substitute
  substitute=$ENCLAVER_SUBSTITUTES/$(sha256 "$ENCLAVER_LOCK").json
  if [ -f "$substitute" ]; then echo "$substitute"; else echo "$ENCLAVER_LOCK"; fi
}

# package_folder ARCH GROUP NAME VERSION: the folder of an unpacked package's files. The Node that npm has installed for
# the machine itself is used where it lies.
package_folder() {
  local installed=$ENCLAVER_ROOT/node_modules/$3
  case $2 in
    kernel) echo "$ENCLAVER_CACHE/kernel/${3#linux-image-}" ;;
    node)
      if grep -qsF "\"version\": \"$4\"" "$installed/package.json"; then
        echo "$installed"
      else
        echo "$ENCLAVER_CACHE/node/$3_$4"
      fi
      ;;
    *) echo "$ENCLAVER_CACHE/$2/$3_$4_$1" ;;
  esac
}

# lock_files LOCK ARCH: "PATH SHA256" of every file, tab-separated, the path being where it is on this machine.
lock_files() {
  local records kind group name what rest folder=
  records=$(lock_records "$1" "$2") || exit 1
  while IFS=$'\t' read -r kind group name what rest; do
    case $kind in
      package) folder=$(package_folder "$2" "$group" "$name" "$what") ;;
      file) printf '%s\t%s\n' "$folder/$what" "$rest" ;;
    esac
  done <<<"$records"
}

# pin_of PATH: the SHA-256 of a file; of a folder (PATH ends with a slash) that of its sorted list of files and their hashes.
pin_of() {
  case $1 in
    */) (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -d' ' -f1 ;;
    *) sha256 "$1" ;;
  esac
}

# lock_print: a lock file out of standard input: what lock_records prints, with a line "arch ARCH" before each part.
lock_print() {
  awk -F'\t' '
    function close_package() { if (open) printf "\n        ]\n      }"; open = 0 }
    function close_group() { close_package(); if (group != "") printf "\n    ]"; group = "" }
    function close_arch() { close_group(); if (arch != "") printf "\n  }" }
    BEGIN { printf "{\n  \"format\": 2" }
    $1 == "arch" {
      close_arch()
      arch = $2
      printf ",\n  \"%s\": {\n", arch
      first = 1
    }
    $1 == "package" {
      if ($2 == group) {
        close_package()
        print ","
      } else {
        close_group()
        group = $2
        print (first ? "" : ",\n") "    \"" group "\": ["
        first = 0
      }
      print "      {"
      print "        \"package\": \"" $3 "\","
      print "        \"version\": \"" $4 "\","
      print "        \"suite\": \"" $5 "\","
      print "        \"sha256\": \"" $6 "\","
      printf "        \"files\": ["
      open = 1
      files = 0
    }
    $1 == "file" {
      printf "%s\n          {\n            \"path\": \"%s\",\n            \"sha256\": \"%s\"\n          }", (files++ ? "," : ""), $4, $5
    }
    END { close_arch(); print "\n}" }
  '
}
