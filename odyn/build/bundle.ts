import { type BuildFailure, build } from 'esbuild';
import { BuildError } from './build-error.ts';
import { CHECKOUT } from './pinned.ts';

/** Paths in ramdisk 0 of the native parts of libs/vsock and of odyn. */
export const VSOCK_ADDON_PATH = 'odyn/vsock.node';
export const ODYN_ADDON_PATH = 'odyn/odyn.node';

/**
 * One file with everything a program imports, minified. CommonJS, because Node reads and compiles it in one go; its
 * entry may therefore not await at the top level.
 */
export async function bundle(entry: string): Promise<Buffer> {
  try {
    const result = await build({
      entryPoints: [entry],
      absWorkingDir: CHECKOUT,
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'cjs',
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
        'import.meta.url': '"file:///odyn/program.js"',
        'import.meta.dirname': '"/odyn"',
        // Where libs/vsock and odyn look for their native parts first
        'process.env.ENCLAVER_VSOCK_ADDON': JSON.stringify(`/${VSOCK_ADDON_PATH}`),
        'process.env.ENCLAVER_ODYN_ADDON': JSON.stringify(`/${ODYN_ADDON_PATH}`),
      },
      // import() as require(): V8 scripts with a code cache cannot import
      supported: { 'dynamic-import': false },
      write: false,
      logLevel: 'silent',
    });
    const [file] = result.outputFiles;
    if (file === undefined) {
      throw new BuildError('BUNDLE_FAILED', `${entry} gave no bundle`);
    }
    return Buffer.from(file.contents);
  } catch (cause) {
    if (!isBuildFailure(cause)) {
      throw cause;
    }
    const [first] = cause.errors;
    const where = first?.location ? `${first.location.file}:${first.location.line}: ` : '';
    throw new BuildError('BUNDLE_FAILED', `cannot bundle ${entry}: ${where}${first?.text ?? cause.message}`, { cause });
  }
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}
