# shellcheck shell=bash
# Where set-up puts things, and where everything else looks for them. Source it; it sets variables and does nothing else.
#
# One rule: everything that is downloaded lives in one folder for the whole machine, outside every checkout, so that
# clones share it. ENCLAVER_CACHE names another one.

ENCLAVER_ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
ENCLAVER_CACHE=${ENCLAVER_CACHE:-/var/cache/enclaver}
# shellcheck disable=SC2034 # read by the scripts that source this file
ENCLAVER_LOCK=$ENCLAVER_ROOT/enclaver.lock.json
# Where a pinned version has left the mirror, set-up writes here what it took instead: same format, one file per lock.
# shellcheck disable=SC2034
ENCLAVER_SUBSTITUTES=$ENCLAVER_CACHE/substitutes
# Where `scripts/engine` keeps the private Docker Engine's data, socket and notes.
# shellcheck disable=SC2034
ENCLAVER_ENGINE=${ENCLAVER_ENGINE:-/var/lib/enclaver-engine}
# QEMU with the machine nitro-enclave: a link to the installed one, or to the one that set-up compiled.
# shellcheck disable=SC2034
ENCLAVER_QEMU_NITRO=$ENCLAVER_CACHE/qemu-nitro/qemu-system-x86_64
