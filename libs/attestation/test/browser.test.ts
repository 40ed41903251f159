import assert from 'node:assert/strict';
import { isBuiltin } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type * as Attestation from '../src/index.ts';
import { genuine, genuineAt } from './support.ts';

/** What a bundler makes of the package for a browser. It fails on an import that a browser does not have. */
async function bundle() {
  return build({
    entryPoints: [fileURLToPath(import.meta.resolve('@enclaver/attestation'))],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'silent',
  });
}

describe('@enclaver/attestation in a browser', () => {
  it('needs no module of Node', async () => {
    const { metafile, warnings } = await bundle();
    const imports = Object.values(metafile.inputs).flatMap((input) => input.imports.map(({ path }) => path));
    assert.ok(imports.length > 10);
    assert.deepEqual(imports.filter(isBuiltin), []);
    assert.deepEqual(
      Object.values(metafile.outputs).flatMap((output) => output.imports),
      [],
      'all of it is in the bundle',
    );
    assert.deepEqual(warnings, []);
  });

  it('verifies as a bundle, without the globals of Node', async () => {
    const { outputFiles } = await bundle();
    const code = `const process = undefined, Buffer = undefined, require = undefined, global = undefined;\n${outputFiles[0]?.text}`;
    const { verifyDocument } = (await import(
      `data:text/javascript;base64,${Buffer.from(code).toString('base64')}`
    )) as typeof Attestation;
    const { moduleId } = await verifyDocument(genuine, { at: genuineAt });
    assert.match(moduleId, /^i-[0-9a-f]{17}-enc/);
    await assert.rejects(verifyDocument(genuine, { at: new Date() }), { code: 'ATTESTATION_EXPIRED' });
  });
});
