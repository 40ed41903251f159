import assert from 'node:assert/strict';
import { copyFile, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDocument } from '@enclaver/attestation';
import {
  certificatePcr,
  extendPcr,
  instancePcr,
  type Measurements,
  PCR_BYTES,
  readEif,
  rolePcr,
  signEif,
} from '@enclaver/eif';
import { decodeCbor } from '../../libs/attestation/src/cbor.ts';
import { p256, p384, signing } from '../../libs/eif/test/signing.ts';
import { compileC } from '../../odyn/build/compile-c.ts';
import { buildRuntime, defaultsFor } from '../../odyn/build/runtime.ts';
import { buildEnclave } from '../../services/builder/src/build.ts';
import { writeOciLayout } from '../images/image.ts';
import { tar } from '../images/tar.ts';
import { bootOnNitroMachine, runOnNitroMachine } from './nitro-machine.ts';

/** A boot takes 5 to 8 s under emulation, more on a busy machine. */
const BOOT_PATIENCE_MS = 100_000;
const RUNTIME = join(import.meta.dirname, '../../dist/runtime');
const CHECK = join(import.meta.dirname, 'guest/nsm-check.ts');
const ROLE = 'arn:aws:iam::123456789012:role/path/enclave-parent';
const INSTANCE = 'i-0123456789abcdef0';
const ZERO = '0'.repeat(2 * PCR_BYTES);

/** QEMU's image reader, measurements and NSM beside ours, on images as the builder makes them. */
describe("QEMU's machine nitro-enclave", function () {
  this.timeout(BOOT_PATIENCE_MS);
  let folder: string;
  let program: Buffer;
  let image: string;
  let measured: Measurements;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nitro-machine-test-'));
    await compileC(join(import.meta.dirname, 'guest'), ['pcrs.c'], join(folder, 'pcrs'));
    program = await readFile(join(folder, 'pcrs'));
    image = await build('app.eif', program);
    measured = (await readEif(image)).measurements;
  });

  after(() => rm(folder, { recursive: true, force: true }));

  /** An image of the builder whose app is the program; `manifest` is the rest of it. */
  async function build(name: string, content: Buffer, manifest = '', runtime = RUNTIME): Promise<string> {
    const layer = tar([{ name: 'pcrs', mode: 0o755, content }]);
    await writeOciLayout(join(folder, 'image'), [{ image: { layers: [layer], config: { Cmd: ['/pcrs'] } } }]);
    const head = 'version: v1\nname: pcrs\ntarget: enclaver-test/pcrs:enclave\nsources:\n  app: oci:./image\n';
    await buildEnclave({
      manifest: head + manifest,
      manifestFile: 'enclaver.yaml',
      contextDir: folder,
      eifOnly: join(folder, name),
      dataDir: join(folder, 'data'),
      runtime,
    });
    return join(folder, name);
  }

  it('boots an image as it is, with the PCRs that we compute for image, role and instance', async () => {
    const registers = { PCR3: rolePcr(ROLE).toString('hex'), PCR4: instancePcr(INSTANCE).toString('hex') };
    const seen = await runOnNitroMachine(image, { roleArn: ROLE, instanceId: INSTANCE });
    assert.deepEqual(seen, report({ ...measured, ...registers }));
  });

  it('sees another app in PCR0 and PCR2, not in PCR1, and in PCR8 who signed it', async () => {
    const other = Buffer.from(program);
    // One byte, of a message that the program gives only when it fails
    other.write('A', other.indexOf(' another answer') + 1);
    await writeFile(join(folder, 'certificate.pem'), p256.certificate_pem);
    await writeFile(join(folder, 'key.pem'), p256.private_key_pkcs8_pem);
    const signed = await build('other.eif', other, 'signature:\n  certificate: certificate.pem\n  key: key.pem\n');
    const { PCR0, PCR1, PCR2 } = (await readEif(signed)).measurements;
    assert.notEqual(PCR0, measured.PCR0);
    assert.notEqual(PCR2, measured.PCR2);
    assert.equal(PCR1, measured.PCR1);
    const PCR8 = certificatePcr(p256.certificate_pem).toString('hex');
    assert.deepEqual(await runOnNitroMachine(signed), report({ PCR0, PCR1, PCR2, PCR8 }));
  });

  it('sees in PCR8 who signed last, with a signature in the place of a shorter one', async () => {
    const signed = join(folder, 'signed.eif');
    await signEif(image, { ...signing(p256), output: signed });
    const { size } = await stat(signed);
    await signEif(signed, signing(p384));
    assert.notEqual((await stat(signed)).size, size);
    const PCR8 = certificatePcr(p384.certificate_pem).toString('hex');
    assert.deepEqual(await runOnNitroMachine(signed), report({ ...measured, PCR8 }));
  });

  it("answers odyn's client through the driver: registers, random numbers, documents, errors", async () => {
    const runtime = join(folder, 'runtime');
    await buildRuntime({ ...defaultsFor('x86_64'), output: join(runtime, 'x86_64'), entry: CHECK });
    const eif = await build('check.eif', program, '', runtime);
    const startedMs = Date.now();
    await using machine = await bootOnNitroMachine(eif, { roleArn: ROLE, instanceId: INSTANCE });
    const [, json = ''] = await machine.sees(/^REPORT (.*)\r?\n/m);
    const found = JSON.parse(json);
    assert.equal(found.failed, undefined);
    const { PCR0, PCR1, PCR2 } = (await readEif(eif)).measurements;
    const PCR3 = rolePcr(ROLE).toString('hex');
    const PCR4 = instancePcr(INSTANCE).toString('hex');
    const values = (registers: { value: string }[]) =>
      registers.map(({ value }) => Buffer.from(value, 'base64').toString('hex'));
    const start = [PCR0, PCR1, PCR2, PCR3, PCR4, ...Array<string>(27).fill(ZERO)];
    assert.deepEqual(values(found.before), start);
    const first = extendPcr(Buffer.alloc(PCR_BYTES), Buffer.from('first')).toString('hex');
    const last = extendPcr(Buffer.alloc(PCR_BYTES), Buffer.alloc(4000, 7)).toString('hex');
    assert.equal(Buffer.from(found.extended, 'base64').toString('hex'), first);
    assert.deepEqual(values(found.after), start.with(16, first).with(31, last));
    assert.deepEqual(
      [found.before, found.after].map((all) => all.filter((one: { locked: boolean }) => one.locked).length),
      [16, 32],
    );
    assert.deepEqual(found.errors, {
      extendLocked: 'NSM_READ_ONLY_INDEX',
      extendPlatform: 'NSM_READ_ONLY_INDEX',
      noSuchRegister: 'NSM_INVALID_INDEX',
      tooLong: 'NSM_INPUT_TOO_LARGE',
    });
    assert.deepEqual(found.random, [256, 256, true, 20]);
    assert.deepEqual([found.origin, found.description.moduleId], ['device', 'enclaver-test']);
    // The emulated device signs nothing, so that its documents can never pass for real ones
    const document = Buffer.from(found.document, 'base64');
    assert.throws(() => parseDocument(document), { code: 'ATTESTATION_ALGORITHM' });
    const payload = documentPayload(document);
    assert.deepEqual(Buffer.from(payload.nonce), Buffer.alloc(1024, 1));
    assert.deepEqual([...payload.pcrs.keys()], [...Array(17).keys()]);
    assert.equal(Buffer.from(payload.pcrs.get(16) ?? []).toString('hex'), first);
    // The device has this machine's time, rounded down to seconds; the guest's own may lag under emulation
    assert.ok(found.timeMs > startedMs - 1000 && found.timeMs <= Date.now(), new Date(found.timeMs).toISOString());
    assert.deepEqual(found.entropy, { bits: 256, source: 'nsm-hwrng' });
  });

  it('refuses an image of which a byte was changed afterwards', async () => {
    const broken = join(folder, 'broken.eif');
    await copyFile(image, broken);
    await using file = await open(broken, 'r+');
    await file.write(Buffer.from('?'), 0, 1, (await file.stat()).size - 1);
    await assert.rejects(runOnNitroMachine(broken), /CRC mismatch/);
  });
});

/** Payload of a document that nobody vouches for. */
function documentPayload(document: Uint8Array): { nonce: Uint8Array; pcrs: Map<number, Uint8Array> } {
  const [, , payload] = decodeCbor(document) as [unknown, unknown, Uint8Array];
  const fields = decodeCbor(payload) as Map<string, Uint8Array & Map<number, Uint8Array>>;
  return { nonce: fields.get('nonce') as Uint8Array, pcrs: fields.get('pcrs') as Map<number, Uint8Array> };
}

/** What the app prints when these registers are set and the others are zero. */
function report(registers: Readonly<Record<string, string>>): string[] {
  return Array.from({ length: 17 }, (_, index) => {
    return `PCR${index} ${registers[`PCR${index}`] ?? ZERO} ${index < 16 ? 'locked' : 'unlocked'}`;
  });
}
