# shellcheck shell=bash
# Reads enclaver.lock.json without a JSON parser: a fresh machine has none. The file has one key per line (that is how
# scripts/lock writes it and the formatter keeps it), so awk is enough; a file of another shape is refused.

# lock_records FILE: prints, tab-separated and in file order
#   package GROUP NAME VERSION SUITE SHA256     (GROUP: kernel or libs)
#   file    GROUP PACKAGE_VERSION PATH SHA256   (PATH inside the package's cache folder)
lock_records() {
  awk -F'"' '
    function package_out() {
      if (name != "" && !printed) {
        print "package\t" group "\t" name "\t" version "\t" suite "\t" sha; printed = 1
      }
    }
    /^  "(kernel|libs|node)": / { group = $2; name = ""; next }
    group == "node" { next }
    /^ *"package": "/ { name = $4; version = suite = sha = path = ""; printed = 0; next }
    /^ *"version": "/ { version = $4; next }
    /^ *"suite": "/ { suite = $4; next }
    /^ *"path": "/ { package_out(); path = $4; next }
    /^ *"sha256": "/ {
      if (path == "") { sha = $4; next }
      print "file\t" group "\t" name "_" version "\t" path "\t" $4; path = ""; files++
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

# package_folder GROUP NAME VERSION: the folder of an unpacked package's files.
package_folder() {
  case $1 in
    kernel) echo "$ENCLAVER_CACHE/kernel/${2#linux-image-}" ;;
    *) echo "$ENCLAVER_CACHE/$1/$2_$3" ;;
  esac
}

# lock_node LOCK: the lines of its "node" section, as they are.
lock_node() { awk '/^  "node": /, /^  }/' "$1"; }

# lock_print RECORDS NODE_SECTION: a lock file out of what lock_records prints.
lock_print() {
  awk -F'\t' -v node="$2" '
    function close_package() { if (open) printf "\n      ]\n    }" }
    BEGIN { print "{\n  \"format\": 1,\n  \"arch\": \"x86_64\"," }
    $1 == "package" {
      close_package()
      if ($2 == group) print ","
      else {
        if (open) print "\n  ],"
        print "  \"" $2 "\": ["
        group = $2
      }
      print "    {"
      print "      \"package\": \"" $3 "\","
      print "      \"version\": \"" $4 "\","
      print "      \"suite\": \"" $5 "\","
      print "      \"sha256\": \"" $6 "\","
      printf "      \"files\": ["
      open = 1
      files = 0
    }
    $1 == "file" {
      printf "%s\n        {\n          \"path\": \"%s\",\n          \"sha256\": \"%s\"\n        }", (files++ ? "," : ""), $4, $5
    }
    END { close_package(); print "\n  ],"; print node; print "}" }
  ' <<<"$1"
}
