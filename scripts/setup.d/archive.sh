# shellcheck shell=bash
# Debian packages that are unpacked and not installed, from any suite of the mirror the machine already uses, with a
# private apt configuration: the machine's own sources stay as they are, and apt checks every signature as always.
#
# SUITE is a suite's name, for packages of the machine's own architecture, or with Debian's name of another behind a colon
# ("bookworm:arm64"). dpkg need not know that one, since nothing of it is installed.

ARCHIVE_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# archive_mirror: the Debian mirror out of the machine's own sources. apt reads them, so both formats (and mirror lists)
# work; a row counts only where its signed Release file says Origin and Label "Debian".
archive_mirror() {
  if [ -n "${ENCLAVER_DEBIAN_MIRROR:-}" ]; then
    echo "$ENCLAVER_DEBIAN_MIRROR"
    return
  fi
  # shellcheck disable=SC2016 # apt's own placeholders
  apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -F'|' '$1 == "Debian" && $2 == "Debian" && $3 == "main" { print $4; exit }'
}

# archive_open SUITE: prepares the suite's private configuration once per run and prints the path of it. Returns 1 where
# the mirror does not carry the suite, and 3 where it cannot be read, which must not pass for that.
archive_open() {
  local suite=${1%%:*} arch=${1#*:} folder mirror
  [ "$arch" != "$1" ] || arch=$(arch_debian "$MACHINE_ARCH")
  folder=$WORK/apt/$suite-$arch
  if [ ! -e "$folder/ready" ]; then
    mirror=$(archive_mirror)
    # A fresh machine has no lists yet, so apt cannot tell which of its sources is Debian's archive.
    if [ -z "$mirror" ] && [ "$(id -u)" -eq 0 ]; then
      host_update
      mirror=$(archive_mirror)
    fi
    if [ -z "$mirror" ]; then
      say "error: this machine's apt sources name no Debian mirror"
      say "  remedy: set ENCLAVER_DEBIAN_MIRROR to the base address of one (http://HOST/debian), or run apt-get update"
      return 3
    fi
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    echo "deb [arch=$arch signed-by=$ARCHIVE_KEYRING] $mirror $suite main" >"$folder/sources.list"
    : >"$folder/status"
    cat >"$folder/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Etc::SourceList "$folder/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$folder/lists";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
CONF
    if ! retry archive_update "$folder"; then
      if grep -qE '404 |does not have a Release file' "$folder/log"; then return 1; fi
      cat "$folder/log" >&2
      # Whether an expired index counts is the machine's own apt setting.
      say "error: could not read the suite $suite from the Debian mirror (apt says above why)"
      say "  remedy: a frozen mirror's index is expired: Acquire::Check-Valid-Until \"false\" in the machine's apt"
      say "  configuration allows it; else see to the network or set ENCLAVER_DEBIAN_MIRROR"
      return 3
    fi
    touch "$folder/ready"
  fi
  echo "$folder/apt.conf"
}

archive_update() {
  LC_ALL=C apt-get -c "$1/apt.conf" -qq -o APT::Update::Error-Mode=any update >"$1/log" 2>&1
}

# archive_has SUITE PACKAGE VERSION
archive_has() {
  local conf
  conf=$(archive_open "$1") || return
  apt-cache -c "$conf" madison "$2" | awk -F' *[|] *' -v wanted="$3" '$2 == wanted { found = 1 } END { exit !found }'
}

# archive_newest SUITE PACKAGE: the newest version, or nothing.
archive_newest() {
  local conf
  conf=$(archive_open "$1") || return
  apt-cache -c "$conf" policy "$2" | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# archive_newest_release SUITE PACKAGE: of a package that has a kernel release in its name (linux-image-6.12.95+deb12-amd64)
# the name with the newest release of the same series.
archive_newest_release() {
  local conf kind series rest
  conf=$(archive_open "$1") || return
  read -r kind series rest <<<"$(sed -E 's/^(linux-[a-z]+-)([0-9]+\.[0-9]+)\.[^-]*/\1 \2 /' <<<"$2")"
  apt-cache -c "$conf" pkgnames "$kind" | grep -E "^$kind${series/./\\.}\.[0-9][^-]*$rest$" | sort -V | tail -n 1
}

# archive_tree SUITE PACKAGE VERSION: downloads, unpacks, prints the folder. The package itself lies beside it (.deb).
archive_tree() {
  local conf folder=$WORK/trees/${1#*:}/$2_$3
  if [ ! -d "$folder" ]; then
    conf=$(archive_open "$1") || return
    rm -rf "$folder.get"
    mkdir -p "$folder.get"
    (cd "$folder.get" && retry apt-get -c "$conf" -qq download "$2=$3" >&2) || return 1
    mv "$folder.get"/*.deb "$folder.deb"
    rmdir "$folder.get"
    mkdir "$folder.part"
    dpkg-deb -x "$folder.deb" "$folder.part" && mv "$folder.part" "$folder" || return 1
  fi
  echo "$folder"
}

# archive_take SUITE PACKAGE FILE FOLDER: one program out of a package of another suite than the machine's own.
archive_take() {
  local version tree
  version=$(archive_newest "$1" "$2") || fail "could not read the suite $1 from the Debian mirror"
  [ -n "$version" ] || fail "the Debian mirror has no package $2 in $1"
  tree=$(archive_tree "$1" "$2" "$version") || fail "could not download $2 $version"
  say "taking ${3##*/} of $2 $version ($1) to $4"
  install -m 0755 "$tree/$3" "$4/"
}
