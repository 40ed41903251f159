# shellcheck shell=bash
# The processors that enclaves run on. Named as Linux and EIF files name them; others' names come from here.

# shellcheck disable=SC2034 # read by the scripts that source this file
ARCHES='x86_64 aarch64'
# shellcheck disable=SC2034
MACHINE_ARCH=$(uname -m)

# arch_debian ARCH: Debian's name of it.
arch_debian() {
  case $1 in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) fail "no enclave runs on $1; known are $ARCHES" ;;
  esac
}
