import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  attach,
  type BuildFacts,
  checkEif,
  describeEnclave,
  type EnclaveDocuments,
  PCRS_TYPE,
  PROVENANCE_TYPE,
  SBOM_TYPE,
  signedMeasurements,
  verifyImage,
  writeBeside,
} from '@enclaver/provenance';
import { enclave } from '../../libs/provenance/test/enclave.ts';
import { DockerRegistry, REGISTRY_USER } from '../stack/docker-registry.ts';
import { type CosignKey, cosignKey, pushImage, run, withPassword } from './work.ts';

const FACTS: BuildFacts = {
  manifest: 'version: v1\nname: test\n',
  platform: 'linux/amd64',
  app: {
    name: 'registry.example.com/app:1',
    id: `sha256:${'a'.repeat(64)}`,
    repoDigest: `registry.example.com/app@sha256:${'b'.repeat(64)}`,
  },
  base: { name: 'base:1', id: `sha256:${'c'.repeat(64)}` },
  versions: { enclaver: '0.1.0', node: '24.21.0', kernel: '6.12' },
};

const code = (name: string) => ({ name: 'ProvenanceError', code: name });

describe('supply chain of an enclave', function () {
  this.timeout(60_000);

  let folder: string;
  let work: string;
  let registry: DockerRegistry;
  let key: CosignKey;
  let other: CosignKey;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'supply-'));
    work = join(folder, 'work');
    await mkdir(work);
    registry = await DockerRegistry.start();
    [key, other] = [await cosignKey(folder, 'one'), await cosignKey(folder, 'two')];
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  /** A release image with an EIF whose app holds `text`, pushed, and what is said of it. */
  async function release(name: string, text: string) {
    const written = await enclave(join(folder, `${name}.eif`), { 'srv/app': text, 'etc/os-release': 'ID=debian\n' });
    const documents = await describeEnclave({ ...written, facts: FACTS, sbom: true });
    const image = await pushImage(folder, registry.host, `${name}:1`, await readFile(written.eif));
    return { ...written, documents, image, tag: `${registry.host}/${name}:1` };
  }

  async function signed(name: string, text: string, documents?: EnclaveDocuments) {
    const made = await release(name, text);
    await withPassword(() =>
      attach({ image: made.image, documents: documents ?? made.documents, signKey: key.key, work }),
    );
    return made;
  }

  it('signs image, PCRs, provenance and SBOM, and all of it is verified', async () => {
    const made = await signed('good', 'bytes');
    const passed: string[] = [];
    const verified = await verifyImage(made.tag, key.public, { onPassed: (text) => passed.push(text) });
    assert.equal(verified.image, made.image);
    assert.deepEqual(verified.measurements, made.measurements);
    assert.equal(passed.length, 4);
    checkEif(verified, { sha256: made.eifSha256, measurements: made.measurements });
    assert.deepEqual(verified.sbom?.predicate, JSON.parse(JSON.stringify(made.documents.sbom)));
    assert.deepEqual(
      verified.provenance.subject.map(({ digest }) => digest.sha256),
      [made.image.split('sha256:')[1], made.eifSha256],
    );
  });

  it('is what cosign itself verifies, with its own types', async () => {
    const { tag } = await signed('cosign', 'for cosign');
    const offline = [`--key=${key.pub}`, '--insecure-ignore-tlog=true'];
    const [{ critical }] = JSON.parse(await run('cosign', ['verify', ...offline, tag]));
    assert.equal(critical.type, 'cosign container image signature');
    for (const type of ['slsaprovenance1', 'cyclonedx', PCRS_TYPE]) {
      const line = await run('cosign', ['verify-attestation', ...offline, `--type=${type}`, tag]);
      const statement = JSON.parse(Buffer.from(JSON.parse(line).payload, 'base64').toString());
      assert.ok([PROVENANCE_TYPE, SBOM_TYPE, PCRS_TYPE].includes(statement.predicateType));
    }
  });

  it('verifies what cosign signs by itself: its own attest, with a predicate of ours', async () => {
    const { image, tag, documents, measurements, eif } = await release('byhand', 'by hand');
    const predicate = join(folder, 'predicate.json');
    const files = await writeBeside({ eif, documents, work });
    for (const [file, type] of [
      [`${eif}.pcrs.json`, PCRS_TYPE],
      [`${eif}.provenance.json`, 'slsaprovenance1'],
    ] as const) {
      assert.ok(files.includes(file));
      const { predicate: value } = JSON.parse(await readFile(file, 'utf8'));
      await writeFile(predicate, JSON.stringify(value));
      const to = ['--tlog-upload=false', '--yes', `--key=${key.key}`, `--predicate=${predicate}`, `--type=${type}`];
      await run('cosign', ['attest', ...to, image]);
    }
    await run('cosign', ['sign', '--tlog-upload=false', '--yes', `--key=${key.key}`, image]);
    assert.deepEqual((await verifyImage(tag, key.public)).measurements, measurements);
  });

  it('refuses another key', async () => {
    const { tag } = await signed('otherkey', 'other key');
    await assert.rejects(verifyImage(tag, other.public), code('SIGNATURE_INVALID'));
  });

  it('refuses an image without a signature, and one that is signed but not attested', async () => {
    const { tag, image } = await release('bare', 'bare');
    await assert.rejects(verifyImage(tag, key.public), code('SIGNATURE_MISSING'));
    await run('cosign', ['sign', '--tlog-upload=false', '--yes', `--key=${key.key}`, image]);
    await assert.rejects(verifyImage(tag, key.public), code('PCR_STATEMENT_MISSING'));
  });

  it('refuses one whose provenance is missing', async () => {
    const { eif, eifSha256 } = await enclave(join(folder, 'noprov.eif'), { app: 'noprov' });
    const { tag } = await signed('noprov', 'noprov', await describeEnclave({ eif, eifSha256 }));
    await assert.rejects(verifyImage(tag, key.public), code('PROVENANCE_MISSING'));
  });

  it('refuses attestations that were copied from another image, though signed by the key', async () => {
    const first = await signed('swap', 'the first');
    const second = await release('swap', 'the second');
    const hex = (image: string): string => image.split('sha256:')[1] ?? '';
    const at = `docker://${registry.host}/swap:sha256-`;
    const copy = ['copy', '-q', '--src-tls-verify=false', '--dest-tls-verify=false'];
    await run('skopeo', [...copy, `${at}${hex(first.image)}.att`, `${at}${hex(second.image)}.att`]);
    await assert.rejects(verifyImage(second.tag, key.public), code('SIGNATURE_MISSING'));
    await run('skopeo', [...copy, `${at}${hex(first.image)}.sig`, `${at}${hex(second.image)}.sig`]);
    await assert.rejects(verifyImage(second.tag, key.public), code('SUBJECT_DIFFERS'));
    await run('cosign', ['sign', '--tlog-upload=false', '--yes', `--key=${key.key}`, second.image]);
    await assert.rejects(verifyImage(second.tag, key.public), code('SUBJECT_DIFFERS'));
  });

  it('refuses an EIF with other PCRs, and another EIF with the same', async () => {
    const made = await signed('tampered', 'what was signed');
    const verified = await verifyImage(made.tag, key.public);
    const changed = await enclave(join(folder, 'changed.eif'), { 'srv/app': 'something else' });
    assert.throws(
      () => checkEif(verified, { sha256: made.eifSha256, measurements: changed.measurements }),
      code('PCR_STATEMENT_DIFFERS'),
    );
    assert.throws(
      () => checkEif(verified, { sha256: changed.eifSha256, measurements: made.measurements }),
      code('EIF_DIFFERS'),
    );
  });

  it('passes over what others say of the same image, and refuses a key that contradicts itself', async () => {
    const made = await signed('many', 'what is inside');
    const lie = await describeEnclave(await enclave(join(folder, 'lie.eif'), { 'srv/app': 'a lie' }));
    const say = (signKey: string) => withPassword(() => attach({ image: made.image, documents: lie, signKey, work }));
    await say(other.key);
    assert.deepEqual((await verifyImage(made.tag, key.public)).measurements, made.measurements);
    await assert.rejects(verifyImage(made.tag, other.public), code('PROVENANCE_MISSING'));
    await say(key.key);
    await assert.rejects(verifyImage(made.tag, key.public), code('PCR_STATEMENT_DIFFERS'));
  });

  it('logs in with what the docker client keeps', async () => {
    await using closed = await DockerRegistry.start({ login: true });
    const { name, secret } = REGISTRY_USER;
    const login = join(folder, 'docker');
    const auths = { [closed.host]: { auth: Buffer.from(`${name}:${secret}`).toString('base64') } };
    await mkdir(login);
    await writeFile(join(login, 'config.json'), JSON.stringify({ auths }));
    const made = await release('login', 'login');
    const authFile = join(login, 'config.json');
    const copy = ['copy', '-q', '--src-tls-verify=false', '--dest-tls-verify=false', `--dest-authfile=${authFile}`];
    await run('skopeo', [...copy, `docker://${made.image}`, `docker://${closed.host}/login:1`]);
    const image = made.image.replace(registry.host, closed.host);
    const { documents } = made;
    const sign = () => withPassword(() => attach({ image, documents, signKey: key.key, work }));
    await assert.rejects(sign(), { code: 'COSIGN_FAILED', remedy: /docker login/ });
    await assert.rejects(attach({ image, documents, work }), code('ATTACH_FAILED'));
    await attach({ image, documents, work, authFile });
    const before = process.env.DOCKER_CONFIG;
    process.env.DOCKER_CONFIG = login;
    try {
      await sign();
      assert.equal((await verifyImage(`${closed.host}/login:1`, key.public)).image, image);
    } finally {
      if (before === undefined) delete process.env.DOCKER_CONFIG;
      else process.env.DOCKER_CONFIG = before;
    }
  });

  it('names the parts of the runtime by their bytes, and says the same each time', async () => {
    const { documents, eif, eifSha256 } = await release('prov', 'prov');
    assert.deepEqual(await describeEnclave({ eif, eifSha256, facts: FACTS, sbom: true }), documents);
    const { buildDefinition, runDetails } = documents.provenance as {
      buildDefinition: { externalParameters: Record<string, string>; resolvedDependencies: { name: string }[] };
      runDetails: { builder: { version: object }; metadata?: object };
    };
    assert.deepEqual(
      buildDefinition.resolvedDependencies.map(({ name }) => name),
      [
        'app image',
        'app image configuration',
        'base image configuration',
        'runtime kernel',
        'runtime cmdline',
        'runtime init',
      ],
    );
    assert.equal(buildDefinition.externalParameters.manifest, FACTS.manifest);
    assert.deepEqual(runDetails.builder.version, FACTS.versions);
    assert.equal(runDetails.metadata, undefined);
  });

  it('attaches unsigned documents as referrers, beside those of others and once only', async () => {
    const { image, documents } = await release('unsigned', 'unsigned');
    await attach({ image, documents: { eifSha256: documents.eifSha256, pcrs: documents.pcrs }, work });
    await attach({ image, documents, work });
    await attach({ image, documents, work });
    const inspect = async (reference: string) =>
      JSON.parse(await run('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${reference}`]));
    const [repository = '', digest = ''] = image.split('@');
    const { manifests } = await inspect(`${repository}:${digest.replace(':', '-')}`);
    const types = manifests.map(
      ({ annotations }: { annotations: Record<string, string> }) => annotations.predicateType,
    );
    assert.deepEqual(types.sort(), [SBOM_TYPE, PROVENANCE_TYPE, PCRS_TYPE].sort());
    for (const { digest: each } of manifests) {
      const manifest = await inspect(`${repository}@${each}`);
      assert.equal(manifest.subject.digest, digest);
      assert.match(manifest.artifactType, /^application\/vnd\.(in-toto|cyclonedx)\+json$/);
    }
    await assert.rejects(verifyImage(image, key.public), code('SIGNATURE_MISSING'));
  });

  it('writes files beside an EIF that needs no registry, signed ones with a key', async () => {
    const { eif, documents, measurements } = await release('beside', 'beside');
    const files = await withPassword(() => writeBeside({ eif, documents, signKey: key.key, work }));
    assert.deepEqual(
      files.map((file) => file.slice(eif.length)),
      ['.pcrs.json', '.provenance.json', '.sbom.att.json', '.sbom.json'],
    );
    assert.deepEqual(signedMeasurements(await readFile(`${eif}.pcrs.json`), key.public), measurements);
    assert.ok(!(await readdir(folder)).some((name) => name.endsWith('.partial')));
  });

  it('reads what cosign attest-blob writes, in either form of its bundle', async () => {
    const { eif, documents, measurements } = await release('blob', 'blob');
    const plain = `${eif}.predicate.json`;
    await writeFile(plain, JSON.stringify(documents.pcrs));
    const common = ['attest-blob', '--tlog-upload=false', '--yes', `--key=${key.key}`, `--type=${PCRS_TYPE}`];
    for (const form of [[], ['--new-bundle-format']]) {
      await run('cosign', [...common, ...form, `--predicate=${plain}`, `--bundle=${eif}.bundle`, eif]);
      assert.deepEqual(signedMeasurements(await readFile(`${eif}.bundle`), key.public), measurements);
    }
  });

  it('says what is wrong with a key, a password, and an image that is not there', async () => {
    const { image, documents } = await release('wrong', 'wrong');
    const sign = (signKey: string, to = image) => withPassword(() => attach({ image: to, documents, signKey, work }));
    await assert.rejects(sign(join(folder, 'none.key')), code('SIGN_KEY_UNUSABLE'));
    await assert.rejects(sign(key.pub), code('SIGN_KEY_UNUSABLE'));
    await assert.rejects(sign(key.key, `${registry.host}/wrong:1`), code('IMAGE_NOT_PUSHED'));
    await assert.rejects(sign(key.key, `--help@sha256:${'0'.repeat(64)}`), code('IMAGE_NOT_PUSHED'));
    await assert.rejects(sign(key.key, `${registry.host}/none@sha256:${'0'.repeat(64)}`), code('COSIGN_FAILED'));
    const before = process.env.COSIGN_PASSWORD;
    process.env.COSIGN_PASSWORD = 'not the password';
    try {
      await assert.rejects(attach({ image, documents, signKey: key.key, work }), code('SIGN_KEY_UNUSABLE'));
    } finally {
      if (before === undefined) delete process.env.COSIGN_PASSWORD;
      else process.env.COSIGN_PASSWORD = before;
    }
    await assert.rejects(verifyImage(`${registry.host}/none:1`, key.public), code('COSIGN_FAILED'));
  });

  it('stops when it is told to', async () => {
    const { image, documents } = await release('abort', 'abort');
    const reason = new Error('enough');
    await assert.rejects(
      attach({ image, documents, signKey: key.key, work, signal: AbortSignal.abort(reason) }),
      reason,
    );
  });
});
