# shellcheck shell=bash
# cosign 2.x, which signs images and what is said of them: `enclaver build --sign`, `enclaver verify`.

# Debian's build names no version; the flag tells 2.x from what was before and after.
cosign_usable() { has cosign && cosign attest --help 2>/dev/null | grep -q -- --tlog-upload; }

cosign_ensure() {
  if cosign_usable; then
    there "cosign 2"
    return
  fi
  missing "cosign 2" || return 0
  # Debian has it from trixie on; it is one static program
  archive_take trixie cosign usr/bin/cosign /usr/local/bin
  cosign_usable || fail "the installed cosign is not version 2"
}
