import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { type EifErrorCode, readEif, verifySignature, writeEif } from '../src/index.ts';
import { gather, type InvalidVectors, inPieces, refusal, tempFolder, type ValidVectors, vectors } from './support.ts';

const valid = await vectors<ValidVectors>('eif-valid');
const invalid = await vectors<InvalidVectors>('eif-invalid');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('EIF vectors', () => {
  for (const vector of valid.cases) {
    const bytes = Buffer.from(vector.eif_b64, 'base64');

    it(`reads and measures ${vector.name}`, async () => {
      await using folder = await tempFolder();
      const path = folder.file('image');
      await writeFile(path, bytes);
      const eif = await readEif(path);
      assert.equal(eif.size, vector.bytes);
      assert.equal(eif.header.version, vector.header.version);
      assert.equal(eif.header.flags, vector.header.flags);
      assert.equal(eif.arch, vector.header.arch);
      assert.equal(eif.header.defaultMem, BigInt(vector.header.default_mem));
      assert.equal(eif.header.defaultCpus, BigInt(vector.header.default_cpus));
      assert.equal(eif.header.crc32.toString(16).padStart(8, '0'), vector.header.crc32_hex);
      assert.deepEqual(
        eif.sections,
        vector.sections.map(({ type, offset, data_size }) => ({ type, offset, size: data_size })),
      );
      for (const [index, section] of eif.sections.entries()) {
        assert.equal(sha256(await gather(eif.data(section))), vector.sections[index]?.data_sha256);
      }
      assert.equal(eif.cmdline, valid[`cmdline_${vector.header.arch}`]);
      assert.deepEqual(eif.measurements, vector.measurements);
      assert.equal(eif.signature?.certificate, vector.signed?.certificate_pem);
    });

    for (const piece of [1, 700, 1 << 20]) {
      it(`writes ${vector.name} again from pieces of ${piece} bytes`, async () => {
        await using folder = await tempFolder();
        const [original, copy] = [folder.file('original'), folder.file('copy')];
        await writeFile(original, bytes);
        const { arch, cmdline, metadata, sections, signature } = await readEif(original);
        const component = (name: keyof ValidVectors['components_b64']) =>
          inPieces(Buffer.from(valid.components_b64[name], 'base64'), piece);
        const ramdisks = [component('ramdisk0'), component('ramdisk1')];
        const written = await writeEif(copy, {
          arch,
          cmdline,
          metadata,
          kernel: component('kernel'),
          ramdisks: ramdisks.slice(0, sections.filter(({ type }) => type === 'ramdisk').length),
          ...(signature === undefined ? {} : { sign: async () => signature.raw }),
        });
        assert.equal(sha256(await readFile(copy)), vector.sha256);
        assert.deepEqual(written.measurements, vector.measurements);
        assert.equal(written.size, vector.bytes);
        assert.equal(written.crc32.toString(16).padStart(8, '0'), vector.header.crc32_hex);
      });
    }
  }

  const codes: Record<string, EifErrorCode[]> = {
    header: ['EIF_HEADER', 'EIF_TRUNCATED'],
    section: ['EIF_SECTION'],
    sections: ['EIF_SECTIONS'],
    crc: ['EIF_CRC'],
    metadata: ['EIF_METADATA'],
    signature: ['EIF_SIGNATURE'],
  };
  for (const vector of invalid.cases.filter(({ name }) => name !== 'signature-certificate-expired')) {
    it(`refuses ${vector.name}`, async () => {
      await using folder = await tempFolder();
      await writeFile(folder.file('image'), Buffer.from(vector.eif_b64, 'base64'));
      await assert.rejects(readEif(folder.file('image')), (error: { code: EifErrorCode }) =>
        (codes[vector.failing_check] ?? []).includes(error.code),
      );
    });
  }

  it('describes an image whose certificate has expired, and refuses to vouch for it', async () => {
    const vector = invalid.cases.find(({ name }) => name === 'signature-certificate-expired');
    assert.ok(vector);
    await using folder = await tempFolder();
    await writeFile(folder.file('image'), Buffer.from(vector.eif_b64, 'base64'));
    const eif = await readEif(folder.file('image'));
    assert.equal(eif.signature?.validTo.toISOString(), '2021-01-01T00:00:00.000Z');
    assert.throws(() => verifySignature(eif, { at: new Date('2026-01-01') }), refusal('EIF_SIGNATURE', /2021-01-01/));
    assert.equal(verifySignature(eif, { at: new Date('2020-06-01') }), eif.signature);
  });
});
