import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { Decoder } from 'cbor-x';
import fc from 'fast-check';
import {
  certificatePcr,
  type Eif,
  type EifSigner,
  readEif,
  type Signing,
  signatureSection,
  signEif,
  writeEif,
} from '../src/index.ts';
import { byCurve, invalid, named, p256, p384, p521, signing } from './signing.ts';
import { gather, refusal, smallImage, tempFolder } from './support.ts';

const run = promisify(execFile);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Header and data of every section but the signature, by their hashes, and what is said of them in the header. */
async function othersOf(eif: Eif): Promise<unknown> {
  const others = eif.sections.filter(({ type }) => type !== 'signature');
  const { arch, defaultMem, defaultCpus, flags, version } = eif.header;
  const data = [];
  for (const { type, size } of others) data.push([type, size]);
  for (const section of others) data.push(sha256(await gather(eif.data(section))));
  return { arch, defaultMem, defaultCpus, flags, version, data };
}

interface Sign1 {
  header: Buffer;
  payload: Buffer;
  signature: Buffer;
}

const decoder = new Decoder({ mapsAsObjects: false, useRecords: false });

/** Opened by another way than ours: the decoder as it comes, and nothing checked. */
function sign1Of(section: Uint8Array): Sign1 {
  const [entry] = decoder.decode(section) as [Map<string, number[]>];
  const [header, , payload, signature] = decoder.decode(Buffer.from(entry.get('signature') ?? []));
  return { header, payload, signature };
}

describe('signing', () => {
  for (const [vector, by] of [
    ['signed-p256', p256],
    ['signed-p384', p384],
  ] as const) {
    it(`lays a section out as ${vector} has it, but for the signature`, async () => {
      await using folder = await tempFolder();
      await writeFile(folder.file('image'), Buffer.from(named(vector).eif_b64, 'base64'));
      const { raw } = (await readEif(folder.file('image'))).signature ?? assert.fail();
      const ours = await signatureSection(Buffer.from(named(vector).measurements.PCR0, 'hex'), signing(by));
      const [theirs, mine] = [sign1Of(raw), sign1Of(ours)];
      assert.equal(mine.header.toString('hex'), theirs.header.toString('hex'));
      assert.equal(mine.payload.toString('hex'), theirs.payload.toString('hex'));
      assert.equal(mine.signature.length, theirs.signature.length);
      // The rest of the bytes: with the same signature in it, our section is theirs.
      const swapped = { ...signing(by), signer: { ...signing(by).signer, sign: async () => theirs.signature } };
      const same = await signatureSection(Buffer.from(named(vector).measurements.PCR0, 'hex'), swapped);
      assert.equal(same.toString('hex'), raw.toString('hex'));
    });
  }

  for (const [name, by, hash, algorithm] of [
    ['P-256', p256, 'sha256', 'ES256'],
    ['P-384', p384, 'sha384', 'ES384'],
    ['P-521', p521, 'sha512', 'ES512'],
  ] as const) {
    it(`signs with ${name}; OpenSSL verifies what the section holds`, async () => {
      await using folder = await tempFolder();
      const path = folder.file('image');
      const before = await writeEif(path, smallImage());
      const others = await othersOf(await readEif(path));
      const signed = await signEif(path, signing(by));
      const eif = await readEif(path);
      assert.deepEqual(await othersOf(eif), others);
      assert.deepEqual(eif.measurements, {
        ...before.measurements,
        PCR8: certificatePcr(by.certificate_pem).toString('hex'),
      });
      assert.deepEqual(signed, { size: eif.size, crc32: eif.header.crc32, measurements: eif.measurements });
      assert.equal(eif.signature?.algorithm, algorithm);

      const { header, payload, signature } = sign1Of(eif.signature.raw);
      // Sig_structure by hand: an array of four, "Signature1", header, empty string, payload (88 ≤ length < 256).
      const message = Buffer.concat([
        Buffer.from([0x84, 0x6a]),
        Buffer.from('Signature1'),
        Buffer.from([0x40 + header.length]),
        header,
        Buffer.from([0x40, 0x58, payload.length]),
        payload,
      ]);
      await writeFile(folder.file('certificate'), by.certificate_pem);
      const { stdout } = await run('openssl', ['x509', '-in', folder.file('certificate'), '-noout', '-pubkey']);
      await writeFile(folder.file('public'), stdout);
      await writeFile(folder.file('message'), message);
      await writeFile(folder.file('der'), derSignature(signature));
      const verify = ['dgst', `-${hash}`, '-verify', folder.file('public'), '-signature', folder.file('der')];
      assert.match((await run('openssl', [...verify, folder.file('message')])).stdout, /Verified OK/);
      await writeFile(folder.file('message'), Buffer.concat([message, Buffer.alloc(1)]));
      await assert.rejects(run('openssl', [...verify, folder.file('message')]));
    });
  }

  it('puts a signature of another length in the place of the old one, and all sizes fit', async () => {
    await using folder = await tempFolder();
    const path = folder.file('image');
    await writeFile(path, Buffer.from(named('signed-p384').eif_b64, 'base64'));
    const others = await othersOf(await readEif(path));
    const sizes = new Set<number>();
    for (const by of [p256, p521, p384]) {
      await signEif(path, signing(by));
      const eif = await readEif(path);
      assert.deepEqual(await othersOf(eif), others);
      assert.equal(eif.sections.filter(({ type }) => type === 'signature').length, 1);
      assert.equal(eif.measurements.PCR8, certificatePcr(by.certificate_pem).toString('hex'));
      sizes.add(eif.sections.at(-1)?.size ?? 0);
    }
    assert.equal(sizes.size, 3);
  });

  it('signs an image of any shape, and again with a signature in its middle', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3000), { minLength: 1, maxLength: 4 }),
        fc.constantFrom('P-256', 'P-384', 'P-521'),
        fc.boolean(),
        async (ramdisks, curve, middle) => {
          await using folder = await tempFolder();
          const path = folder.file('image');
          const parts = ramdisks.map((size, index) => Buffer.alloc(4 * size + 4, index));
          await writeEif(path, smallImage({ ramdisks: parts, arch: 'aarch64' }));
          if (middle) {
            await signEif(path, signing(p384));
            await writeFile(path, withSignatureFirst(await readFile(path), await readEif(path)));
          }
          const before = await readEif(path);
          const others = await othersOf(before);
          await signEif(path, signing(byCurve[curve]));
          const after = await readEif(path);
          assert.deepEqual(await othersOf(after), others);
          assert.deepEqual(
            after.sections.map(({ type }) => type),
            middle
              ? before.sections.map(({ type }) => type)
              : [...before.sections.map(({ type }) => type), 'signature'],
          );
        },
      ),
      { numRuns: 20 },
    );
  });

  it('signs anew what was signed by another key, has a malformed signature, or one that ended', async () => {
    for (const name of ['signature-by-other-key', 'signature-empty-array', 'signature-certificate-expired']) {
      const vector = invalid.cases.find((each) => each.name === name) ?? assert.fail(name);
      await using folder = await tempFolder();
      await writeFile(folder.file('image'), Buffer.from(vector.eif_b64, 'base64'));
      await signEif(folder.file('image'), signing(p256));
      assert.equal((await readEif(folder.file('image'))).signature?.algorithm, 'ES256');
    }
  });

  it('keeps the original with `output`, the mode of the file, and a link that leads to it', async () => {
    await using folder = await tempFolder();
    const [image, link, output] = [folder.file('image'), folder.file('link'), folder.file('output')];
    await writeEif(image, smallImage());
    await chmod(image, 0o600);
    const before = await readFile(image);
    await signEif(image, { ...signing(p384), output });
    assert.ok(before.equals(await readFile(image)));
    assert.equal((await stat(output)).mode & 0o777, 0o600);
    await symlink('image', link);
    await signEif(link, signing(p384));
    assert.equal(await readlink(link), 'image');
    assert.ok((await readEif(image)).signature);
    assert.deepEqual((await readdir(folder.path)).sort(), ['image', 'link', 'output']);
  });

  it('refuses an image whose table has no place left', async () => {
    await using folder = await tempFolder();
    const path = folder.file('image');
    const ramdisks = (count: number): Buffer[] => Array.from({ length: count }, () => Buffer.alloc(4));
    await writeEif(path, smallImage({ ramdisks: ramdisks(28) }));
    await signEif(path, signing(p256));
    await signEif(path, signing(p521));
    await writeEif(path, smallImage({ ramdisks: ramdisks(29) }));
    await assert.rejects(signEif(path, signing(p256)), refusal('EIF_SECTIONS', /32 sections/));
  });

  it('leaves everything as it was when it cannot sign', async () => {
    await using folder = await tempFolder();
    const path = folder.file('image');
    await writeEif(path, smallImage());
    const before = await readFile(path);
    const { signer, certificatePem } = signing(p384);
    const failing: Signing['signer'] = { ...signer, sign: () => Promise.reject(new Error('no')) };
    await assert.rejects(signEif(path, { certificatePem, signer: failing }), /^Error: no$/);
    const wrong: EifSigner = { ...signer, sign: async () => Buffer.alloc(96, 1) };
    await assert.rejects(signEif(path, signing(p384, { signer: wrong })), refusal('SIGN_FAILED'));
    await assert.rejects(signEif(path, { ...signing(p384), output: folder.file('missing/file') }), { code: 'ENOENT' });
    await assert.rejects(signEif(path, { ...signing(p384), output: folder.path }), { code: /EISDIR|ENOTEMPTY|EEXIST/ });
    const aborted = AbortSignal.abort(new Error('stop'));
    await assert.rejects(signEif(path, { ...signing(p384), signal: aborted }), /^Error: stop$/);
    const damaged = Buffer.from(before);
    damaged.writeUInt8(1, before.length - 1);
    await writeFile(path, damaged);
    await assert.rejects(signEif(path, signing(p384)), refusal('EIF_CRC'));
    assert.ok(damaged.equals(await readFile(path)));
    assert.deepEqual(await readdir(folder.path), ['image']);
  });
});

/** r‖s as a DER SEQUENCE of two INTEGERs. */
function derSignature(raw: Buffer): Buffer {
  const integer = (bytes: Buffer): Buffer => {
    const start = bytes.findIndex((byte) => byte !== 0);
    const digits = bytes.subarray(start);
    const positive = (digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), digits]) : digits;
    return Buffer.concat([Buffer.from([0x02, positive.length]), positive]);
  };
  const half = raw.length / 2;
  const body = Buffer.concat([integer(raw.subarray(0, half)), integer(raw.subarray(half))]);
  return Buffer.concat([Buffer.from(body.length < 128 ? [0x30, body.length] : [0x30, 0x81, body.length]), body]);
}

/** The same image with its signature section right behind the header. */
function withSignatureFirst(bytes: Buffer, { sections }: Eif): Buffer {
  const order = [
    ...sections.filter(({ type }) => type === 'signature'),
    ...sections.filter((s) => s.type !== 'signature'),
  ];
  const header = Buffer.from(bytes.subarray(0, 548));
  let end = 548;
  const parts = order.map(({ offset, size }, index) => {
    header.writeBigUInt64BE(BigInt(end), 28 + 8 * index);
    header.writeBigUInt64BE(BigInt(size), 284 + 8 * index);
    end += 12 + size;
    return bytes.subarray(offset, offset + 12 + size);
  });
  const body = Buffer.concat(parts);
  header.writeUInt32BE(crc32(body, crc32(header.subarray(0, 544))), 544);
  return Buffer.concat([header, body]);
}
