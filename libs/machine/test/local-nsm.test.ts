import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyDocument } from '@enclaver/attestation';
import { Nsm, streamTransport } from '@enclaver/attestation/nsm';
import { DevelopmentRoot, rootFiles } from '@enclaver/attestation/simulator';
import { instancePcr, rolePcr } from '@enclaver/eif';
import { unixTransport } from '@enclaver/vsock';
import { NSM_PORT } from '@enclaver/wire';
import { pino } from 'pino';
import { LocalNsm, type LocalNsmOptions } from '../src/local-nsm.ts';

const MEASUREMENTS = { PCR0: 'a0'.repeat(48), PCR1: 'b1'.repeat(48), PCR2: 'c2'.repeat(48), PCR8: 'd8'.repeat(48) };
const ROLE = 'arn:aws:iam::123456789012:role/parent';
const INSTANCE = 'i-0123456789abcdef0';
const ZERO = '0'.repeat(96);

describe('simulated NSM of a local enclave', () => {
  let folder: string;
  let nsm: Nsm;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-nsm-'));
    // Where the vsock device of a guest puts what the guest dials
    nsm = new Nsm(streamTransport(() => connect(join(folder, `vsock_${NSM_PORT}`))));
  });

  afterEach(() => rm(folder, { recursive: true }));

  function serve(parent: Partial<LocalNsmOptions> = {}, debug = false): Promise<LocalNsm> {
    const transport = unixTransport({ path: join(folder, 'vsock') });
    return LocalNsm.serve(
      { transport, measurements: MEASUREMENTS, debug, stateFile: join(folder, 'nsm.json') },
      { rootDir: join(folder, 'root'), logger: pino({ level: 'silent' }), ...parent },
    );
  }

  async function attested(): Promise<Record<number, string>> {
    const certificate = await readFile(rootFiles(join(folder, 'root')).certificate, 'utf8');
    const roots = [Buffer.from(certificate.replace(/-----.*-----|\s/g, ''), 'base64')];
    const { pcrs } = await verifyDocument(await nsm.attest(), { at: new Date(), roots, expect: { allowDebug: true } });
    return Object.fromEntries([...pcrs].map(([index, value]) => [index, Buffer.from(value).toString('hex')]));
  }

  it('attests the image, its signer, role and instance with the root of the folder', async () => {
    const served = await serve({ roleArn: ROLE, instanceId: INSTANCE });
    const pcrs = await attested();
    const { PCR0, PCR1, PCR2, PCR8 } = MEASUREMENTS;
    assert.deepEqual([pcrs[0], pcrs[1], pcrs[2], pcrs[8], pcrs[5]], [PCR0, PCR1, PCR2, PCR8, ZERO]);
    assert.equal(pcrs[3], rolePcr(ROLE).toString('hex'));
    assert.equal(pcrs[4], instancePcr(INSTANCE).toString('hex'));
    assert.equal((await stat(rootFiles(join(folder, 'root')).key)).mode & 0o777, 0o600);
    await served.close();
  });

  it('attests zeros in debug mode', async () => {
    const served = await serve({}, true);
    const pcrs = await attested();
    assert.deepEqual([pcrs[0], pcrs[1], pcrs[2], pcrs[8]], [ZERO, ZERO, ZERO, ZERO]);
    await served.close();
  });

  it('goes on as the same device in the next process, with what the app put into it', async () => {
    const first = await serve();
    const { moduleId } = await nsm.describe();
    const value = await nsm.extendPcr(16, Buffer.from('app'));
    await nsm.lockPcr(16);
    await nsm.extendPcr(17, Buffer.from('more'));
    await first.close();
    await assert.rejects(nsm.describe(), { code: 'NSM_UNREACHABLE' });
    const second = await serve();
    assert.deepEqual(await nsm.describe().then((found) => [found.moduleId, found.lockedPcrs.at(-1)]), [moduleId, 16]);
    assert.equal((await attested())[16], Buffer.from(value).toString('hex'));
    await assert.rejects(nsm.extendPcr(16, Buffer.from('again')), { code: 'NSM_READ_ONLY_INDEX' });
    assert.equal((await nsm.describePcr(17)).locked, false);
    assert.notEqual(Buffer.from((await nsm.describePcr(17)).value).toString('hex'), ZERO);
    await second.close();
  });

  it('keeps one root for all, whoever asks first, and refuses a file that is none', async () => {
    const both = await Promise.all([serve(), serve()]);
    const { key, certificate } = rootFiles(join(folder, 'root'));
    const root = DevelopmentRoot.load(await readFile(key, 'utf8'));
    assert.equal(await readFile(certificate, 'utf8'), root.pem);
    await unlink(certificate);
    await Promise.all(both.map((one) => one.close()));
    const later = await serve();
    assert.equal(await readFile(certificate, 'utf8'), root.pem);
    await later.close();
    await rm(key);
    await unlink(join(folder, 'nsm.json'));
    const other = await serve();
    assert.notEqual(await readFile(certificate, 'utf8'), root.pem, 'a new root has a new certificate');
    await other.close();
  });
});
