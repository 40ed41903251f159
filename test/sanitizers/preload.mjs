// Comes before everything else in each Node of a sanitized run (NODE_OPTIONS=--import): native addons are loaded as built
// with a sanitizer (SANITIZED: `asan` or `tsan`), and stay loaded, so that a report can name what lies in them.
const RTLD_LAZY = 1;
const RTLD_NODELETE = 0x1000;

const { dlopen } = process;
process.dlopen = (module, path, flags = RTLD_LAZY) =>
  dlopen.call(
    process,
    module,
    path.replace(`-${process.arch}.node`, `-${process.env.SANITIZED}.node`),
    flags | RTLD_NODELETE,
  );
