# shellcheck shell=bash
# What compiles the C parts of an enclave for every architecture: the machine's own compiler under its full name, and the
# distribution's cross compiler for the other.

# compilers_list: lines for host_ensure.
compilers_list() {
  local arch
  for arch in $ARCHES; do
    if [ "$arch" = "$MACHINE_ARCH" ]; then
      echo "$arch-linux-gnu-gcc gcc"
      echo "$arch-linux-gnu-strip binutils"
      echo "/usr/include/stdio.h libc6-dev"
    else
      echo "$arch-linux-gnu-gcc gcc-${arch//_/-}-linux-gnu"
      echo "$arch-linux-gnu-strip binutils-${arch//_/-}-linux-gnu"
      echo "/usr/$arch-linux-gnu/include/stdio.h libc6-dev-$(arch_debian "$arch")-cross"
    fi
  done
}

# fuzzer_ensure: clang with libFuzzer, whose library comes in a package of the compiler's own version.
fuzzer_ensure() {
  local version library
  host_ensure <<<"clang clang"
  has clang || return 0
  version=$(clang -dumpversion)
  library=$(clang -print-file-name="libclang_rt.fuzzer_no_main-$MACHINE_ARCH.a")
  host_ensure <<<"$library libclang-rt-${version%%.*}-dev"
}
