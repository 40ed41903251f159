import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { openEnvelope, parseEnvelope, sealEnvelope } from '../src/index.ts';
import { codeOf, privateKey, publicKeySpki } from './support.ts';

type Choose = <Value>(values: readonly Value[]) => Value;

/** An element in one of the ways in which BER lets it be written. */
function write(choose: Choose, lengths: Writing['lengths'], tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const isConstructed = (tag & 0x20) !== 0;
  const least = body.length < 0x80 ? 0 : body.length < 0x100 ? 1 : 2;
  const forms = [least, ...lengths.filter((count) => count > least)];
  const form = choose(isConstructed ? [...forms, 'open' as const] : forms);
  if (form === 'open') return Buffer.concat([Buffer.from([tag, 0x80]), body, Buffer.alloc(2)]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  const head = form === 0 ? [tag, body.length] : [tag, 0x80 | form, ...length.subarray(4 - form)];
  return Buffer.concat([Buffer.from(head), body]);
}

/** The parts of an envelope in another writing, with the content in chunks as they come. */
function rewrite(envelope: Uint8Array, choose: Choose, { lengths, chunks: sizes }: Writing): Buffer {
  const { recipientId, encryptedKey, iv, content } = parseEnvelope(envelope);
  const element = (tag: number, ...parts: Uint8Array[]): Buffer => write(choose, lengths, tag, ...parts);
  const id = (hex: string): Buffer => element(0x06, Buffer.from(hex, 'hex'));
  const sha256 = (): Buffer => element(0x30, id('608648016503040201'), ...choose([[], [element(0x05)]]));
  const oaep = element(0x30, element(0xa0, sha256()), element(0xa1, element(0x30, id('2a864886f70d010108'), sha256())));
  const algorithm = element(0x30, id('2a864886f70d010107'), oaep);
  const version = (): Buffer => element(0x02, Buffer.from([2]));
  const recipient = element(0x30, version(), element(0x80, recipientId), algorithm, element(0x04, encryptedKey));
  const chunks: Buffer[] = [];
  for (let at = 0; at < content.length; ) {
    const size = choose(sizes);
    chunks.push(element(0x04, content.subarray(at, at + size)));
    at += size;
  }
  const inner = choose([() => element(0x80, content), () => element(0xa0, ...chunks)])();
  const cipher = element(0x30, id('60864801650304012a'), element(0x04, iv));
  const encrypted = element(0x30, id('2a864886f70d010701'), cipher, inner);
  const data = element(0x30, version(), element(0x31, recipient), encrypted);
  return element(0x30, id('2a864886f70d010703'), element(0xa0, data));
}

/** What a writing may have. */
interface Writing {
  /** Bytes of a length more than one, where so many are needed or more. */
  lengths: readonly number[];
  chunks: readonly number[];
}

const ALL: Writing = { lengths: [0, 1, 2, 3, 4], chunks: [0, 1, 15, 16, 200] };
/** OpenSSL 3.0 opens neither all writings with lengths longer than need be, nor those with a chunk of no bytes. */
const OPENSSL: Writing = { lengths: [], chunks: [1, 15, 16, 200] };

describe('BER', () => {
  const plaintext = Buffer.from('whatever way it is written, it is the same envelope');
  const sealed = sealEnvelope(plaintext, publicKeySpki);

  const writings = (writing: Writing): fc.Arbitrary<Buffer> =>
    fc.gen().map((gen) => rewrite(sealed, (values) => gen(fc.constantFrom, ...values) as never, writing));

  it('opens in every writing of lengths and content', async () => {
    await fc.assert(
      fc.asyncProperty(writings(ALL), async (ber) => {
        assert.deepEqual(await openEnvelope(ber, privateKey), plaintext);
      }),
      { numRuns: 300 },
    );
  });

  it('OpenSSL reads the same in such writings', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-ber-'));
    try {
      const keyFile = join(folder, 'key.pem');
      await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
      for (const [number, ber] of fc.sample(writings(OPENSSL), 10).entries()) {
        const file = join(folder, `${number}.ber`);
        await writeFile(file, ber);
        const options = ['-decrypt', '-binary', '-inform', 'DER', '-in', file, '-inkey', keyFile];
        assert.deepEqual(execFileSync('openssl', ['cms', ...options], { timeout: 20_000 }), plaintext);
        assert.deepEqual(await openEnvelope(ber, privateKey), plaintext);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('an element more, in any place, is refused', async () => {
    const { recipientId } = parseEnvelope(sealed);
    const at = sealed.indexOf(recipientId);
    // A NULL before the end marks of each open level, and before the identifier of the recipient
    for (const place of [2, 6, at - 2, ...[2, 4, 6, 8, 10].map((back) => sealed.length - back)]) {
      const grown = Buffer.concat([sealed.subarray(0, place), Buffer.from('0500', 'hex'), sealed.subarray(place)]);
      assert.equal(await codeOf(() => parseEnvelope(grown)), 'CMS_MALFORMED', `at ${place}`);
    }
  });
});
