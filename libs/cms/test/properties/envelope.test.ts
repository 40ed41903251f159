import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { holds } from '../../../../test/properties/cases.ts';
import { mutationsOf } from '../../../../test/properties/mutations.ts';
import { CmsError, openEnvelope, parseEnvelope, sealEnvelope } from '../../src/index.ts';
import { caseNamed, privateKey, publicKeySpki, synthetic } from '../support.ts';

const plaintexts = fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ maxLength: 4096, size: 'max' }));

/** Envelopes that open, with what is in them. */
const good = synthetic.cases.filter(({ expect }) => expect === 'plaintext').map(({ name }) => caseNamed(name));

/** What an envelope opens to; undefined where it is refused, with a code of ours. */
async function open(ber: Uint8Array): Promise<Buffer | undefined> {
  try {
    return await openEnvelope(ber, privateKey);
  } catch (error) {
    assert.ok(error instanceof CmsError, String(error));
    return undefined;
  }
}

describe('CMS envelopes, changed and at random', () => {
  let folder: string;
  let keyFile: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-cms-'));
    keyFile = join(folder, 'key.pem');
    await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  });

  after(() => rm(folder, { recursive: true }));

  /** The same by OpenSSL. */
  function openssl(ber: Uint8Array): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      const options = ['cms', '-decrypt', '-binary', '-inform', 'DER', '-inkey', keyFile];
      const child = execFile('openssl', options, { encoding: 'buffer', timeout: 20_000 }, (error, stdout) => {
        if (error === null) resolve(stdout);
        else if (typeof error.code === 'number') resolve(undefined);
        else reject(error);
      });
      child.stdin?.on('error', () => {}).end(ber);
    });
  }

  it('give back what was sealed', async () => {
    await holds(
      fc.asyncProperty(plaintexts, async (plaintext) => {
        assert.deepEqual(
          await openEnvelope(sealEnvelope(plaintext, publicKeySpki), privateKey),
          Buffer.from(plaintext),
        );
      }),
      100,
    );
  });

  it('are refused as random bytes, bare and behind a right beginning', async () => {
    const bytes = fc.uint8Array({ maxLength: 400 });
    const begun = bytes.map((rest) => Buffer.concat([Buffer.from('308006092a864886f70d010703a0803080', 'hex'), rest]));
    await holds(
      fc.asyncProperty(fc.oneof(bytes, begun), async (ber) => assert.equal(await open(ber), undefined)),
      2_000,
    );
  });

  it('never open to something else when they are changed anywhere but in IV and content, which have no MAC', async () => {
    const changed = fc.constantFrom(...good).chain((each) => mutationsOf(each.ber).map((ber) => ({ each, ber })));
    const seen = { opened: 0, refused: 0 };
    await holds(
      fc.asyncProperty(changed, async ({ each, ber }) => {
        const plaintext = await open(ber);
        seen[plaintext === undefined ? 'refused' : 'opened'] += 1;
        if (plaintext === undefined) return;
        const [was, now] = [parseEnvelope(each.ber), parseEnvelope(ber)];
        assert.deepEqual([now.recipientId, now.encryptedKey], [was.recipientId, was.encryptedKey]);
        if (now.iv.equals(was.iv) && now.content.equals(was.content))
          assert.equal(plaintext.toString('hex'), each.plaintext_hex);
      }),
      2_000,
    );
    assert.ok(seen.opened > 0 && seen.refused > seen.opened, JSON.stringify(seen));
  });

  it('open to what OpenSSL finds in them, and only where it finds something', async () => {
    const sealed = plaintexts.map((plaintext) => sealEnvelope(plaintext, publicKeySpki));
    const content = fc.constantFrom(...good).chain(({ ber }) => {
      const { content: whole } = parseEnvelope(ber);
      const start = ber.indexOf(whole.subarray(0, 16));
      // Mostly in the content: elsewhere both refuse
      return mutationsOf(ber.subarray(start)).map((end) => Buffer.concat([ber.subarray(0, start), end]));
    });
    await holds(
      fc.asyncProperty(fc.oneof(sealed, content), async (ber) => {
        const plaintext = await open(ber);
        if (plaintext !== undefined) assert.deepEqual(plaintext, await openssl(ber));
      }),
      20,
    );
  });
});
