import { basename } from 'node:path';
import { type BuildFailure, build, transform } from 'esbuild';
import { BuildError } from './build-error.ts';
import { CHECKOUT } from './pinned.ts';

/** Paths in ramdisk 0 of the native parts of libs/vsock and of odyn. */
export const VSOCK_ADDON_PATH = 'odyn/vsock.node';
export const ODYN_ADDON_PATH = 'odyn/odyn.node';

/** Name of the file that a program starts with. */
export const MAIN = 'main.js';

/**
 * Everything a program imports, minified, by file name: what it needs to start, and apart from that what it only loads when it
 * comes to an `import()`. CommonJS, because V8 scripts with a code cache cannot import; no file may therefore await at the top
 * level.
 */
export async function bundle(entry: string): Promise<Map<string, Buffer>> {
  try {
    const result = await build({
      entryPoints: [entry],
      absWorkingDir: CHECKOUT,
      bundle: true,
      platform: 'node',
      target: 'node24',
      // Only this format can be split
      format: 'esm',
      splitting: true,
      outdir: '.',
      entryNames: 'main',
      chunkNames: 'part-[hash]',
      // ES modules where a package has both: of those only what is used gets into the bundle
      mainFields: ['module', 'main'],
      minify: true,
      // Strings that V8 keeps at one byte a character, and the same bytes whatever encoding they are read in
      charset: 'ascii',
      legalComments: 'none',
      // Sources are looked up by real path, so that a bundle does not depend on how the workspaces are linked
      preserveSymlinks: false,
      // In place of whatever tsconfig.json lies above the sources: it would show in the result
      tsconfigRaw: {
        compilerOptions: { alwaysStrict: true, verbatimModuleSyntax: true, useDefineForClassFields: true },
      },
      define: {
        'import.meta.url': '"file:///odyn/program/main.js"',
        'import.meta.dirname': '"/odyn"',
        // Where libs/vsock and odyn look for their native parts first
        'process.env.ENCLAVER_VSOCK_ADDON': JSON.stringify(`/${VSOCK_ADDON_PATH}`),
        'process.env.ENCLAVER_ODYN_ADDON': JSON.stringify(`/${ODYN_ADDON_PATH}`),
      },
      write: false,
      logLevel: 'silent',
    });
    const files = await Promise.all(
      result.outputFiles.map(async ({ path, text }) => [basename(path), await commonJs(text)] as const),
    );
    return new Map(files.sort(([one], [other]) => (one < other ? -1 : 1)));
  } catch (cause) {
    if (!isBuildFailure(cause)) {
      throw cause;
    }
    const [first] = cause.errors;
    const where = first?.location ? `${first.location.file}:${first.location.line}: ` : '';
    throw new BuildError('BUNDLE_FAILED', `cannot bundle ${entry}: ${where}${first?.text ?? cause.message}`, { cause });
  }
}

async function commonJs(text: string): Promise<Buffer> {
  const { code } = await transform(text, {
    format: 'cjs',
    platform: 'node',
    target: 'node24',
    minify: true,
    charset: 'ascii',
    legalComments: 'none',
    // import() as require()
    supported: { 'dynamic-import': false },
    logLevel: 'silent',
  });
  return Buffer.from(code);
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}
