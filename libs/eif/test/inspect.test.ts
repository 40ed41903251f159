import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { crc32, gzipSync, zstdCompressSync } from 'node:zlib';
import { type EifContents, type EifInspection, inspectEif, readEif, writeEif } from '../src/index.ts';
import { newc } from './newc.ts';
import { refusal, smallImage, tempFolder } from './support.ts';

async function inspect(changes: Partial<EifContents>): Promise<EifInspection> {
  await using folder = await tempFolder();
  await writeEif(folder.file('image'), smallImage(changes));
  return await inspectEif(folder.file('image'));
}

/** The start of an x86 boot image whose version text stands at `at`. */
function bootImage(text: string, at: number): Buffer {
  const image = Buffer.alloc(4096);
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(at - 0x200, 0x20e);
  image.write(text, at, 'latin1');
  return image;
}

describe('inspectEif', () => {
  it('reads the release of an x86 boot image', async () => {
    const kernel = bootImage('6.12.95+deb12-cloud-amd64 (build@debian) #1 SMP\0', 0x300);
    assert.equal((await inspect({ kernel })).kernelRelease, '6.12.95+deb12-cloud-amd64');
  });

  it('reads the release of an uncompressed kernel, also where two reads meet', async () => {
    for (const before of [10, (1 << 20) - 20, (1 << 20) - 3]) {
      const text = 'Linux version %s Linux version 6.6.79-arm64 (build@host) #1';
      const kernel = Buffer.concat([Buffer.alloc(before), Buffer.from(text), Buffer.alloc(2 << 20)]);
      assert.equal((await inspect({ kernel })).kernelRelease, '6.6.79-arm64');
    }
  });

  it('takes a kernel that says nothing, or points out of itself', async () => {
    const cut = bootImage('', 0x300).subarray(0, 0x208);
    const outside = bootImage('', 0x300);
    outside.writeUInt16LE(0xffff, 0x20e);
    for (const kernel of [Buffer.from('kernel'), cut, outside, bootImage('\x1b[31m', 0x300)]) {
      assert.equal((await inspect({ kernel })).kernelRelease, undefined);
    }
  });

  it('counts the files of each ramdisk, and says why it cannot', async () => {
    const archive = newc([{ name: 'a' }, { name: 'b' }]);
    const pad = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
    const { sections, problems } = await inspect({
      ramdisks: [archive, pad(gzipSync(archive)), pad(zstdCompressSync(archive)), Buffer.from('nonsense')],
    });
    assert.deepEqual(
      sections
        .filter(({ ramdisk }) => ramdisk)
        .map(({ name, ramdisk }) => [name, ramdisk?.compression, ramdisk?.files, ramdisk?.error?.code]),
      [
        ['ramdisk0', 'none', 2, undefined],
        ['ramdisk1', 'gzip', 2, undefined],
        ['ramdisk2', undefined, undefined, 'CPIO_COMPRESSED'],
        ['ramdisk3', 'none', undefined, 'CPIO_TRUNCATED'],
      ],
    );
    assert.deepEqual(problems, []);
  });

  it('describes what cannot be read as far as it can', async () => {
    await using folder = await tempFolder();
    await writeEif(folder.file('image'), smallImage());
    const bytes = await readFile(folder.file('image'));
    const { measurements } = await readEif(folder.file('image'));
    // Metadata that is no JSON, a command line that is not UTF-8, then the old CRC over both.
    const metadata = bytes.indexOf('{"ImageName"');
    bytes.write('[', metadata);
    bytes[bytes.indexOf('reboot=k')] = 0xff;
    await writeFile(folder.file('image'), bytes);
    const found = await inspectEif(folder.file('image'));
    assert.deepEqual(
      found.problems.map(({ code }) => code),
      ['EIF_CRC', 'EIF_SECTION', 'EIF_METADATA'],
    );
    assert.deepEqual([found.crcValid, found.cmdline, found.metadata], [false, undefined, undefined]);
    assert.equal(found.measurements.PCR2, measurements.PCR2);
    assert.notEqual(found.measurements.PCR1, measurements.PCR1);
  });

  it('refuses metadata so deep that it could not be printed', async () => {
    await using folder = await tempFolder();
    const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
    await writeEif(
      folder.file('image'),
      smallImage({ metadata: { ...smallImage().metadata, CustomMetadata: nested(63) } }),
    );
    assert.deepEqual((await inspectEif(folder.file('image'))).problems, []);

    const { metadata } = smallImage();
    const shallow = JSON.stringify({ ...metadata, CustomMetadata: '@'.repeat(200_000) });
    await writeEif(folder.file('image'), smallImage({ metadata: JSON.parse(shallow) }));
    const bytes = await readFile(folder.file('image'));
    const at = bytes.indexOf(`"${'@'.repeat(9)}`);
    bytes.write('['.repeat(100_001) + ']'.repeat(100_001), at);
    bytes.writeUInt32BE(crc32(bytes.subarray(548), crc32(bytes.subarray(0, 544))), 544);
    await writeFile(folder.file('image'), bytes);
    const { problems } = await inspectEif(folder.file('image'));
    assert.deepEqual(
      problems.map(({ message }) => message),
      ['the metadata goes deeper than 64 levels'],
    );
    await assert.rejects(readEif(folder.file('image')), refusal('EIF_METADATA', /deeper than 64/));
  });
});
