import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { COUNTERS, Instrumentation } from './instrument.ts';

const FUZZ = join(import.meta.dirname, '..');
const checkout = join(FUZZ, '../..');
const includes = join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include');

/** What a built target needs to run, all in one folder. */
export interface Built {
  /** libFuzzer with the target in it; it starts itself again to merge. */
  readonly program: string;
  readonly dictionary: string;
}

/** Words for libFuzzer's dictionary: every byte as hexadecimal. */
function dictionary(words: Iterable<string>): string {
  const lines = [...words].map((word) => {
    const hex = [...Buffer.from(word)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`);
    return `"${hex.join('')}"\n`;
  });
  return lines.join('');
}

function clang(args: readonly string[]): string {
  try {
    return execFileSync('clang', args, { encoding: 'utf8', cwd: checkout });
  } catch (cause) {
    throw new Error('clang failed: is it there? scripts/setup --only test', { cause });
  }
}

/** libFuzzer without its main function, as this machine's clang has it. */
function fuzzerLibrary(): string {
  const arch = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as 'x64' | 'arm64'];
  return clang([`-print-file-name=libclang_rt.fuzzer_no_main-${arch}.a`]).trim();
}

/** Bundles a target of TypeScript with counters in our own files, and what drives libFuzzer with it. */
export async function buildScript(path: string, folder: string): Promise<Built> {
  const instrumentation = new Instrumentation();
  mkdirSync(folder, { recursive: true });
  await build({
    entryPoints: [path],
    outfile: join(folder, 'target.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    sourcemap: 'inline',
    // Packages that read their own files, or have native parts
    packages: 'bundle',
    external: ['*.node'],
    banner: {
      js: `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); const ${COUNTERS} = globalThis.${COUNTERS};`,
    },
    plugins: [
      {
        name: 'counters',
        setup({ onLoad }) {
          onLoad({ filter: /\.ts$/ }, ({ path }) => {
            if (path.includes('/node_modules/')) return undefined;
            const source = readFileSync(path, 'utf8')
              .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
              .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href));
            return { contents: instrumentation.transpile(source, path), loader: 'js' };
          });
        },
      },
    ],
    logLevel: 'error',
  });
  const driver = join(folder, 'driver.node');
  const whole = ['-Wl,--whole-archive', fuzzerLibrary(), '-Wl,--no-whole-archive', '-lstdc++', '-lm', '-lpthread'];
  clang([
    '-std=gnu17',
    '-O1',
    '-Wall',
    '-Wextra',
    '-shared',
    '-fPIC',
    '-I',
    includes,
    join(FUZZ, 'engine/driver.c'),
    '-o',
    driver,
    ...whole,
  ]);
  writeFileSync(join(folder, 'words.dict'), dictionary(instrumentation.words));
  const child = join(FUZZ, 'engine/child.ts');
  const words = [process.execPath, '--enable-source-maps', child, folder, String(instrumentation.places)];
  const program = join(folder, 'target');
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  writeFileSync(program, `#!/bin/sh\nexec ${quoted.join(' ')} "$0" "$@"\n`, { mode: 0o755 });
  return { program, dictionary: join(folder, 'words.dict') };
}

/** Compiles a target of C, which includes the sources it is about, with libFuzzer, AddressSanitizer and UBSan. */
export async function buildC(source: string, folder: string): Promise<Built> {
  mkdirSync(folder, { recursive: true });
  const program = join(folder, 'target');
  const sanitizing = ['-g', '-O1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all'];
  clang(['-std=gnu17', '-Wall', '-Wextra', ...sanitizing, '-pthread', source, '-o', program]);
  const words = [...readFileSync(source, 'utf8').matchAll(/"([^"\\\n]{1,40})"/g)].map(([, word = '']) => word);
  writeFileSync(join(folder, 'words.dict'), dictionary(new Set(words)));
  return { program, dictionary: join(folder, 'words.dict') };
}
