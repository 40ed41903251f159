import assert from 'node:assert/strict';
import { mkdir, open, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { type EifContents, EifError, imagePcr, readEif, writeEif } from '../src/index.ts';
import { gather, inPieces, refusal, smallImage, tempFolder, type ValidVectors, vectors } from './support.ts';

const { cases } = await vectors<ValidVectors>('eif-valid');
const signedVector = Buffer.from(cases.find(({ name }) => name === 'signed-p384')?.eif_b64 ?? '', 'base64');

/** The bytes with a right CRC, so that it is another check that must refuse them. */
function withCrc(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32(bytes.subarray(548), crc32(bytes.subarray(0, 544))), 544);
  return bytes;
}

describe('writeEif', () => {
  it('measures kernel, command line and ramdisks as the formulas say', async () => {
    const part = fc.uint8Array({ minLength: 1, maxLength: 40 });
    const ramdisk = part.map((bytes) => Buffer.alloc(4 * bytes.length, bytes));
    await using folder = await tempFolder();
    await fc.assert(
      fc.asyncProperty(
        part,
        fc.stringMatching(/^[ -~]{0,40}$/),
        fc.array(ramdisk, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 50 }),
        async (kernel, cmdline, ramdisks, size) => {
          const contents = smallImage({
            cmdline,
            kernel: inPieces(kernel, size),
            ramdisks: ramdisks.map((r) => inPieces(r, size)),
          });
          const { measurements } = await writeEif(folder.file('image'), contents);
          const [first = Buffer.alloc(0), ...rest] = ramdisks;
          const boot = [kernel, Buffer.from(cmdline), first];
          assert.deepEqual(measurements, {
            PCR0: imagePcr(Buffer.concat([...boot, ...rest])).toString('hex'),
            PCR1: imagePcr(Buffer.concat(boot)).toString('hex'),
            PCR2: imagePcr(Buffer.concat(rest)).toString('hex'),
          });
          const eif = await readEif(folder.file('image'));
          assert.deepEqual(eif.measurements, measurements);
          assert.equal(eif.cmdline, cmdline);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('carries sections larger than its blocks, and tells how far it is', async () => {
    await using folder = await tempFolder();
    const large = Buffer.alloc(3 * 1024 * 1024 + 4, 'large');
    const seen: number[] = [];
    const written = await writeEif(
      folder.file('image'),
      smallImage({
        ramdisks: [inPieces(large, 100_000), large, inPieces(large, 1000)],
        onProgress: ({ bytesWritten }) => seen.push(bytesWritten),
      }),
    );
    assert.equal(seen.at(-1), written.size);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
    const eif = await readEif(folder.file('image'));
    assert.deepEqual(eif.measurements, written.measurements);
    for (const section of eif.sections.filter(({ type }) => type === 'ramdisk')) {
      assert.ok((await gather(eif.data(section))).equals(large));
    }
  });

  it('writes the metadata keys in their order, whatever the order of the object', async () => {
    await using folder = await tempFolder();
    const { metadata } = smallImage();
    const reversed = Object.fromEntries(Object.entries(metadata).toReversed()) as unknown as EifContents['metadata'];
    await writeEif(folder.file('a'), smallImage());
    await writeEif(folder.file('b'), smallImage({ metadata: reversed }));
    assert.deepEqual(await readFile(folder.file('a')), await readFile(folder.file('b')));
  });

  it('leaves what was there, and nothing else, when it fails', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('some');
      throw new Error('the disk went away');
    }
    const failing: [Partial<EifContents>, RegExp][] = [
      [{ ramdisks: [broken()] }, /the disk went away/],
      [{ ramdisks: [Buffer.from('four'), Buffer.from('fives')] }, /multiple of 4/],
      [{ ramdisks: [Buffer.alloc(0)] }, /ramdisk is empty/],
      [{ ramdisks: [] }, /no ramdisk/],
      [{ ramdisks: Array.from({ length: 30 }, () => Buffer.from('four')) }, /33 sections/],
      [{ kernel: [] }, /kernel is empty/],
      [{ kernel: ['text'] as unknown as Iterable<Uint8Array> }, /only Uint8Array/],
      [{ cmdline: 'a\nb' }, /line break/],
      [{ cmdline: 'a\0b' }, /NUL/],
      [{ cmdline: 'a'.repeat(2048) }, /2048 bytes/],
      [{ metadata: { ...smallImage().metadata, ImageName: 5 as unknown as string } }, /ImageName/],
      [{ metadata: { ...smallImage().metadata, CustomMetadata: 'x'.repeat(1 << 20) } }, /metadata of/],
      [{ sign: async () => Buffer.from('80', 'hex') }, /signature section/],
      [{ sign: () => Promise.reject(new Error('the key is gone')) }, /the key is gone/],
    ];
    for (const [changes, message] of failing) {
      await using folder = await tempFolder();
      await writeFile(folder.file('image'), 'old');
      await assert.rejects(writeEif(folder.file('image'), smallImage(changes)), message);
      assert.deepEqual(await readdir(folder.path), ['image']);
      assert.equal(await readFile(folder.file('image'), 'utf8'), 'old');
    }
  });

  it('refuses a signature that was made for another image', async () => {
    await using folder = await tempFolder();
    await writeFile(folder.file('signed'), signedVector);
    const signature = (await readEif(folder.file('signed'))).signature?.raw ?? assert.fail('unsigned');
    await assert.rejects(
      writeEif(folder.file('image'), smallImage({ sign: async () => signature })),
      refusal('EIF_SIGNATURE', /the signature is for PCR0 05149c92/),
    );
    assert.deepEqual(await readdir(folder.path), ['signed']);
  });

  it('leaves nothing behind when the target cannot be replaced', async () => {
    await using folder = await tempFolder();
    await mkdir(folder.file('image'));
    await assert.rejects(writeEif(folder.file('image'), smallImage()), { code: /EISDIR|ENOTEMPTY|EEXIST/ });
    assert.deepEqual(await readdir(folder.path), ['image']);
  });
});

describe('readEif', () => {
  const refuses = async (
    path: string,
    bytes: Buffer,
    code: ConstructorParameters<typeof EifError>[0],
    text?: RegExp,
  ) => {
    await writeFile(path, bytes);
    await assert.rejects(readEif(path), refusal(code, text));
  };

  it('refuses a file cut short at any byte, or with any byte more', async () => {
    await using folder = await tempFolder();
    await writeEif(folder.file('image'), smallImage());
    const bytes = await readFile(folder.file('image'));
    for (let length = 0; length < bytes.length; length += 1) {
      await refuses(folder.file('cut'), bytes.subarray(0, length), 'EIF_TRUNCATED');
    }
    await refuses(folder.file('more'), Buffer.concat([bytes, Buffer.alloc(1)]), 'EIF_SECTION', /1 bytes follow/);
  });

  it('refuses a file with any bit changed', async () => {
    await using folder = await tempFolder();
    await fc.assert(
      fc.asyncProperty(fc.nat(signedVector.length - 1), fc.nat(7), async (at, bit) => {
        const bytes = Buffer.from(signedVector);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        await writeFile(folder.file('image'), bytes);
        await assert.rejects(readEif(folder.file('image')), EifError);
      }),
      { numRuns: 300 },
    );
  });

  it('asks that header, table and sections agree, whatever the CRC', async () => {
    await using folder = await tempFolder();
    await writeEif(folder.file('image'), smallImage());
    const good = await readFile(folder.file('image'));
    const eif = await readEif(folder.file('image'));
    const changed = (change: (bytes: Buffer) => void): Buffer => {
      const bytes = Buffer.from(good);
      change(bytes);
      return withCrc(bytes);
    };
    const kernel = eif.sections[0]?.offset ?? 0;
    const cmdline = eif.sections[1]?.offset ?? 0;
    const metadata = eif.sections[2]?.offset ?? 0;
    const cases: [(bytes: Buffer) => void, EifError['code'], RegExp][] = [
      [(b) => b.writeUInt16BE(3, 4), 'EIF_HEADER', /version 3/],
      [(b) => b.writeUInt16BE(5, 4), 'EIF_HEADER', /version 5/],
      [(b) => b.writeUInt16BE(2, 6), 'EIF_HEADER', /flags 0x2/],
      [(b) => b.writeUInt16BE(1, 24), 'EIF_HEADER', /reserved/],
      [(b) => b.writeUInt16BE(0, 26), 'EIF_HEADER', /0 sections/],
      [(b) => b.writeUInt16BE(4, 26), 'EIF_HEADER', /holds more/],
      [(b) => b.writeUInt16BE(6, 26), 'EIF_SECTION', /says 0/],
      [(b) => b.writeUInt32BE(1, 540), 'EIF_HEADER', /unused/],
      [(b) => b.writeBigUInt64BE(7n, 284 + 8 * 31), 'EIF_HEADER', /holds more/],
      [(b) => b.writeBigUInt64BE(2n ** 63n, 284), 'EIF_SECTION', /table says/],
      [(b) => b.writeUInt16BE(1, kernel + 2), 'EIF_SECTION', /flags 0x1/],
      [(b) => b.writeUInt16BE(2, kernel), 'EIF_SECTIONS', /kernel/],
      [(b) => b.writeUInt8(0, cmdline + 12), 'EIF_SECTION', /NUL/],
      [(b) => b.writeUInt8(0xff, cmdline + 12), 'EIF_SECTION', /UTF-8/],
      [(b) => b.write('[', metadata + 12), 'EIF_METADATA', /not JSON/],
      [(b) => b.writeUInt8(0xff, metadata + 20), 'EIF_METADATA', /UTF-8/],
      [
        (b) => {
          b.writeBigUInt64BE(2n ** 40n, 284 + 32);
          b.writeBigUInt64BE(2n ** 40n, (eif.sections[4]?.offset ?? 0) + 4);
        },
        'EIF_TRUNCATED',
        /the file only 8 more/,
      ],
    ];
    for (const [change, code, text] of cases) await refuses(folder.file('bad'), changed(change), code, text);
  });

  it('takes the sections in any order with every ramdisk after the kernel', async () => {
    const signedless = smallImage();
    await using folder = await tempFolder();
    const { measurements } = await writeEif(folder.file('image'), signedless);
    const bytes = await readFile(folder.file('image'));
    const { sections } = await readEif(folder.file('image'));
    const rebuilt = (order: number[]): Buffer => {
      const parts = order.map((index) => {
        const { offset, size } = sections[index] ?? assert.fail();
        return bytes.subarray(offset, offset + 12 + size);
      });
      const header = Buffer.from(bytes.subarray(0, 548));
      let offset = 548;
      for (const [slot, part] of parts.entries()) {
        header.writeBigUInt64BE(BigInt(offset), 28 + 8 * slot);
        header.writeBigUInt64BE(BigInt(part.length - 12), 284 + 8 * slot);
        offset += part.length;
      }
      return withCrc(Buffer.concat([header, ...parts]));
    };
    await writeFile(folder.file('order'), rebuilt([2, 0, 1, 3, 4]));
    assert.deepEqual((await readEif(folder.file('order'))).measurements, measurements);

    // The command line last: PCR0 follows the order of the file, PCR1 leaves the second ramdisk out.
    await writeFile(folder.file('order'), rebuilt([0, 3, 4, 1, 2]));
    const text = (...parts: string[]): string => imagePcr(Buffer.from(parts.join(''))).toString('hex');
    assert.deepEqual((await readEif(folder.file('order'))).measurements, {
      PCR0: text('kernel', 'ramdisk0', 'ramdisk1', signedless.cmdline),
      PCR1: text('kernel', 'ramdisk0', signedless.cmdline),
      PCR2: text('ramdisk1'),
    });
    await refuses(folder.file('order'), rebuilt([3, 0, 1, 2, 4]), 'EIF_SECTIONS', /before the kernel/);
  });

  it('gives no data of a file that was replaced or changed after it was measured', async () => {
    await using folder = await tempFolder();
    await writeEif(folder.file('image'), smallImage());
    const eif = await readEif(folder.file('image'));
    const [kernel] = eif.sections;
    assert.ok(kernel);
    assert.equal((await gather(eif.data(kernel))).toString(), 'kernel');
    await writeEif(folder.file('other'), smallImage({ kernel: Buffer.from('Kernel') }));
    await rename(folder.file('other'), folder.file('image'));
    await assert.rejects(gather(eif.data(kernel)), refusal('EIF_CHANGED'));
    await using copy = await open(folder.file('copy'), 'w');
    await assert.rejects(eif.copy(kernel, copy), refusal('EIF_CHANGED'));
  });

  it('refuses what is no file', async () => {
    await using folder = await tempFolder();
    await assert.rejects(readEif(folder.file('missing')), { code: 'ENOENT' });
    await assert.rejects(readEif(folder.path), refusal('EIF_HEADER', /not a regular file/));
  });
});
