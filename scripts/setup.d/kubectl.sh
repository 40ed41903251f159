# shellcheck shell=bash
# kubectl, which renders deploy/kubernetes as a cluster gets it and knows its own options.

kubectl_ensure() {
  if has kubectl; then
    there kubectl
    return
  fi
  missing kubectl || return 0
  # Debian's own package from trixie on, where it needs nothing but libc; bookworm's is years older, Ubuntu has none
  archive_take trixie kubectl usr/bin/kubectl /usr/local/bin
}
