import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { attach, describeEnclave, writeBeside } from '@enclaver/provenance';
import { enclave } from '../../libs/provenance/test/enclave.ts';
import { DockerRegistry } from '../stack/docker-registry.ts';
import { enclaver } from '../stack/enclaver.ts';
import { TestStack } from '../stack/stack.ts';
import { type CosignKey, cosignKey, pushImage, withPassword } from './work.ts';

const FACTS = {
  manifest: 'version: v1\n',
  platform: 'linux/amd64',
  app: { name: 'app:1', id: `sha256:${'a'.repeat(64)}` },
  versions: { enclaver: '0.1.0' },
};

/** `enclaver verify` and `enclaver run --verify-before-run` as a user has them. */
describe('enclaver verify', function () {
  this.timeout(120_000);

  let folder: string;
  let registry: DockerRegistry;
  let stack: TestStack;
  let key: CosignKey;
  let other: CosignKey;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'supply-'));
    await mkdir(join(folder, 'work'));
    registry = await DockerRegistry.start();
    stack = await TestStack.start();
    [key, other] = [await cosignKey(folder, 'one'), await cosignKey(folder, 'two')];
  });
  after(async () => {
    await stack[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  /** A pushed image whose layer has an EIF with `inside`, and that is signed as one with `stated`. */
  async function release(name: string, inside: string, stated: string) {
    const [real, said] = [
      await enclave(join(folder, `${name}.eif`), { 'srv/app': inside }),
      await enclave(join(folder, `${name}-stated.eif`), { 'srv/app': stated }),
    ];
    const image = await pushImage(folder, registry.host, `${name}:1`, await readFile(real.eif));
    const documents = await describeEnclave({ ...said, facts: FACTS, sbom: true });
    await withPassword(() => attach({ image, documents, signKey: key.key, work: join(folder, 'work') }));
    return { ...real, documents, image, tag: `${registry.host}/${name}:1` };
  }

  const verify = (tag: string, pub: string, ...more: string[]) =>
    enclaver(['verify', tag, '--key', pub, ...more], stack.env);

  it('says line by line what it checked, and the verdict', async () => {
    const { tag, image, measurements } = await release('good', 'app', 'app');
    const { code, stdout, stderr } = await verify(tag, key.pub);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.match(/^ok {2}/gm)?.length, 6, stdout);
    assert.match(stdout, new RegExp(`PCR0 ${measurements.PCR0}\n`));
    assert.ok(stdout.endsWith(`Verified: ${image}\n`));
  });

  it('gives the same as JSON, with provenance and SBOM', async () => {
    const { tag, image, measurements, eifSha256 } = await release('json', 'json', 'json');
    const { code, stdout, stderr } = await verify(tag, key.pub, '-o', 'json');
    assert.equal(code, 0, stderr);
    const result = JSON.parse(stdout);
    assert.deepEqual([result.image, result.EIF.SHA256], [image, eifSha256]);
    assert.deepEqual(result.Measurements, measurements);
    assert.equal(result.provenance.buildDefinition.externalParameters.source, 'app:1');
    assert.equal(result.sbom.bomFormat, 'CycloneDX');
  });

  it('refuses an image whose bytes are not those of its statement', async () => {
    const { tag } = await release('tampered', 'evil', 'good');
    const { code, stdout, stderr } = await verify(tag, key.pub);
    assert.equal(code, 1);
    assert.match(stderr, /^error\[PCR_STATEMENT_DIFFERS\]: .*PCR0 stated [0-9a-f]{96}, found [0-9a-f]{96}/);
    assert.doesNotMatch(stdout, /Verified/);
  });

  it('refuses another key, and a file that is no key', async () => {
    const { tag } = await release('key', 'key', 'key');
    const wrong = await verify(tag, other.pub);
    assert.deepEqual([wrong.code, /^error\[(\w+)\]/.exec(wrong.stderr)?.[1]], [1, 'SIGNATURE_INVALID']);
    for (const file of [key.key, join(folder, 'none.pub')]) {
      const { code, stderr } = await verify(tag, file);
      assert.deepEqual([code, /^error\[(\w+)\]/.exec(stderr)?.[1]], [1, 'PUBLIC_KEY_INVALID']);
    }
  });

  it('says that cosign is missing, where it is', async () => {
    const path = (process.env.PATH ?? '').split(delimiter);
    const without = path.filter((each) => !existsSync(join(each, 'cosign'))).join(delimiter);
    const env = { ...stack.env, PATH: without };
    const { code, stderr } = await enclaver(['verify', `${registry.host}/x:1`, '--key', key.pub], env);
    assert.equal(code, 1);
    assert.match(stderr, /^error\[COSIGN_MISSING\]/);
  });

  describe('run --verify-before-run --key', () => {
    const errorOf = (stderr: string): string | undefined => /error\[(\w+)\]/.exec(stderr)?.[1];

    it('starts nothing for a signed statement of another image, another key, or without a key', async () => {
      const made = await release('run', 'run', 'run');
      const another = await enclave(join(folder, 'another.eif'), { 'srv/app': 'another' });
      const files = await withPassword(() =>
        writeBeside({ eif: made.eif, documents: made.documents, signKey: key.key, work: join(folder, 'work') }),
      );
      const file = files.find((path) => path.endsWith('.pcrs.json')) ?? '';
      const run = (...args: string[]) => enclaver(['run', ...args], stack.env);
      const differs = await run(another.eif, '--verify-before-run', file, '--key', key.pub);
      assert.deepEqual([differs.code, errorOf(differs.stderr)], [110, 'MEASUREMENTS_DIFFER'], differs.stderr);
      const wrongKey = await run(made.eif, '--verify-before-run', file, '--key', other.pub);
      assert.deepEqual([wrongKey.code, errorOf(wrongKey.stderr)], [1, 'SIGNATURE_INVALID'], wrongKey.stderr);
      const noKey = await run(made.eif, '--verify-before-run', file);
      assert.deepEqual([noKey.code, errorOf(noKey.stderr)], [1, 'EXPECTATION_SIGNED'], noKey.stderr);
      const keyOnly = await run(made.eif, '--key', key.pub);
      assert.deepEqual([keyOnly.code, errorOf(keyOnly.stderr)], [2, 'USAGE'], keyOnly.stderr);
      const { stdout } = await enclaver(['ps', '--all', '-o', 'json'], stack.env);
      assert.deepEqual(JSON.parse(stdout), [], 'nothing was started');
    });

    it('goes on where the statement holds, and refuses a plain file that is said to be signed', async () => {
      const made = await release('holds', 'holds', 'holds');
      const work = join(folder, 'work');
      const { eif, documents } = made;
      await withPassword(() => writeBeside({ eif, documents, signKey: key.key, work }));
      const plain = join(folder, 'plain.json');
      await writeFile(plain, JSON.stringify(documents.pcrs));
      const unsigned = await enclaver(['run', eif, '--verify-before-run', plain, '--key', key.pub], stack.env);
      assert.deepEqual([unsigned.code, errorOf(unsigned.stderr)], [1, 'ENVELOPE_INVALID'], unsigned.stderr);
      // The EIF of this test has no manifest: the supervisor, which is asked only after the check, refuses it
      const signed = ['run', eif, '--verify-before-run', `${eif}.pcrs.json`, '--key', key.pub];
      const { stderr } = await enclaver(signed, stack.env);
      assert.doesNotMatch(stderr, /SIGNATURE|EXPECTATION|MEASUREMENTS|ENVELOPE/);
      assert.match(errorOf(stderr) ?? '', /^MANIFEST|^EIF/, stderr);
    });
  });
});
