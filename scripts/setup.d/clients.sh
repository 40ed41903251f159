# shellcheck shell=bash
# Programs that no one here wrote, for the tests of what an app in an enclave can do: AWS's command line and boto3, curl,
# wget, and a Go program with Go's own HTTP. From Debian trixie, the first whose AWS clients know all five actions that
# attest, and its SDKs for Go and Ruby with the programs of examples/kms, as one layer of an image. Nothing is installed on the machine. Memory of an enclave is dear
# where it is emulated, so what no test needs is left out.

CLIENTS_SUITE=trixie
CLIENTS_GO=1.24
CLIENTS_SOURCE=$ENCLAVER_ROOT/scripts/setup.d/clients/fetch.go
CLIENTS_KMS_SOURCE=$ENCLAVER_ROOT/examples/kms/decrypt.go

# clients_layer: where the layer is: another file for other programs.
clients_layer() {
  local key
  key=$(cat "$ENCLAVER_ROOT/scripts/setup.d/clients.sh" "$CLIENTS_SOURCE" "$CLIENTS_KMS_SOURCE" | sha256sum | cut -c1-16)
  echo "$ENCLAVER_CACHE/clients/$key.tar"
}

clients_ensure() {
  local layer
  layer=$(clients_layer)
  if [ -e "$layer" ]; then
    there "AWS's clients, curl, wget and Go for tests"
    return
  fi
  missing "AWS's clients, curl, wget and Go for tests (Debian $CLIENTS_SUITE)" || return 0
  clients_root "$WORK/clients"
  clients_go_tree
  clients_go "$CLIENTS_SOURCE" "$WORK/clients/usr/bin/go-fetch"
  clients_go "$CLIENTS_KMS_SOURCE" "$WORK/clients/usr/bin/go-kms"
  mkdir -p "${layer%/*}"
  tar --create --file "$layer.part" --directory "$WORK/clients" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
  rm -f "${layer%/*}"/*.tar
  mv "$layer.part" "$layer"
}

# clients_root FOLDER: the packages with their dependencies, unpacked.
clients_root() {
  local root=$1 conf package packages service
  conf=$(archive_open "$CLIENTS_SUITE") || fail "could not read the suite $CLIENTS_SUITE from the Debian mirror"
  retry apt-get -c "$conf" -qq -y --no-install-recommends --download-only install \
    awscli python3-boto3 ruby-aws-sdk-kms curl wget ca-certificates busybox-static >&2 || fail "could not download AWS's clients"
  mkdir -p "$root"/usr/{bin,lib,lib64}
  for package in bin lib lib64; do ln -s "usr/$package" "$root/$package"; done
  for package in "${conf%/*}"/cache/archives/*.deb; do
    # What only Debian's own tools, help pages and other time zones need
    case ${package##*/} in debconf_* | dpkg_* | groff-base_* | libdb5* | perl* | sed_* | tar_* | tzdata_*) continue ;; esac
    dpkg-deb -x "$package" "$root" || fail "could not unpack ${package##*/}"
  done
  packages=$root/usr/lib/python3/dist-packages
  for service in "$packages"/botocore/data/*/ "$packages"/awscli/botocore/data/*/; do
    case $service in */kms/ | */sts/) ;; *) clients_unknow "$service" ;; esac
  done
  rm -r "$packages"/awscli/examples "$packages"/awscli/data/ac.index "$packages"/boto3/data "$root"/usr/lib/x86_64-linux-gnu/gconv "$root"/usr/share/{doc,man,locale}
  mkdir -p "$root/tmp" "$root/proc" "$root/dev"
  ln -sf busybox "$root/bin/sh"
  # Compiled in the place of the sources: half the size, and nothing to compile where the machine is emulated
  chroot "$root" /usr/bin/python3 -m compileall -b -q --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.13 >&2 ||
    fail "could not compile AWS's clients"
  find "$root"/usr/lib/python3* -name '*.py' -delete
  rm -r "$root"/usr/lib/python3.13/{_pyrepl,pydoc_data,test,unittest}
}

# clients_unknow SERVICE: takes the descriptions of a service away, and leaves its name, which AWS's command line wants.
clients_unknow() {
  local version
  for version in "$1"*/; do
    rm -f "$version"*
    echo '{}' >"${version}service-2.json"
  done
}

# clients_go_tree: Debian's Go, and AWS's SDK with what it needs.
clients_go_tree() {
  local package version tree
  mkdir -p "$WORK/go"
  for package in "golang-$CLIENTS_GO-go" "golang-$CLIENTS_GO-src" golang-github-{aws-aws-sdk-go-v2,aws-smithy-go,jmespath-go-jmespath}-dev golang-golang-x-net-dev; do
    version=$(archive_newest "$CLIENTS_SUITE" "$package") || fail "could not read the suite $CLIENTS_SUITE"
    tree=$(archive_tree "$CLIENTS_SUITE" "$package" "$version") || fail "could not download $package"
    cp -a "$tree/." "$WORK/go/"
  done
}

# clients_go SOURCE PROGRAM: compiles a Go program, static, with Debian's compiler.
clients_go() {
  local go=$WORK/go
  GOROOT=$go/usr/lib/go-$CLIENTS_GO GOCACHE=$WORK/go-cache GOPATH=$go/usr/share/gocode GO111MODULE=off CGO_ENABLED=0 GOOS=linux \
    "$go/usr/lib/go-$CLIENTS_GO/bin/go" build -trimpath -ldflags '-s -w' -o "$2" "$1" >&2 || fail "could not compile $1"
}
