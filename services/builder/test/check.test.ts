import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { Bench } from './support.ts';

/** `--check`, with a program in the place of cosign that writes down what it is asked to sign. */
describe('builder: a second build', () => {
  let bench: Bench;
  const { PATH } = process.env;

  beforeEach(async () => {
    bench = await Bench.create();
    await bench.writeImage([{ name: 'app', content: 'x' }]);
    await mkdir(bench.file('bin'));
    await writeFile(bench.file('bin/cosign'), `#!/bin/sh\necho "$1" >>"${bench.file('signed')}"\necho c2lnbmF0dXJl\n`);
    await chmod(bench.file('bin/cosign'), 0o755);
    process.env.PATH = `${bench.file('bin')}:${PATH}`;
  });

  afterEach(async () => {
    process.env.PATH = PATH;
    await bench[Symbol.asyncDispose]();
  });

  const signed = async (): Promise<string[]> => (await readFile(bench.file('signed'), 'utf8')).trim().split('\n');

  it('signs nothing: what is said, is said of the first one', async () => {
    const documents = { provenance: true, sbom: true, signKey: bench.file('cosign.key') };
    await bench.build(documents);
    const once = await signed();
    assert.deepEqual([...new Set(once)], ['sign-blob']);
    const { checked } = await bench.build({ ...documents, check: true });
    assert.equal(checked, true);
    assert.equal((await signed()).length, 2 * once.length);
  });
});
