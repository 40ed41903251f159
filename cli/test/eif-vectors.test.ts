import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { type Ended, eif, eifVectors, tempFolder, type Vector } from './eif-support.ts';

interface ValidCase extends Vector {
  bytes: number;
  header: {
    version: number;
    flags: number;
    arch: string;
    default_mem: number;
    default_cpus: number;
    crc32_hex: string;
  };
  sections: { type: string; offset: number; data_size: number; data_sha256: string }[];
  measurements: Record<string, string>;
  signed: null | object;
}

interface InvalidCase extends Vector {
  failing_check: string;
}

const valid = await eifVectors<ValidCase>('eif-valid');
const invalid = await eifVectors<InvalidCase>('eif-invalid');
const nitroCli = JSON.parse(await readFile(new URL('./vectors/nitro-cli.json', import.meta.url), 'utf8')) as {
  stdout: Record<string, string>;
};
const json = ({ stdout }: Ended) => JSON.parse(stdout.toString());

describe('enclaver eif on the vectors', function () {
  this.timeout(60_000);

  for (const vector of valid) {
    it(`inspects ${vector.name}`, async () => {
      await using folder = await tempFolder();
      const path = await folder.put(vector);
      const ended = await eif('inspect', path, '-o', 'json');
      assert.equal(ended.stderr, '');
      const found = json(ended);
      const { header } = vector;
      assert.deepEqual(found.Measurements, { HashAlgorithm: 'Sha384 { ... }', ...vector.measurements });
      assert.deepEqual(
        [found.EifVersion, found.Flags, found.Architecture, found.DefaultMemory, found.DefaultCPUs, found.CRC32],
        [header.version, header.flags, header.arch, header.default_mem, header.default_cpus, header.crc32_hex],
      );
      assert.deepEqual([found.Size, found.CheckCRC, found.IsSigned], [vector.bytes, true, vector.signed !== null]);
      assert.deepEqual([found.SignatureCheck, found.Problems], [vector.signed === null ? undefined : true, []]);
      const bytes = Buffer.from(vector.eif_b64, 'base64');
      assert.deepEqual(
        found.Sections.map(({ Type, Offset, Size, SHA384 }: Record<string, unknown>) => [Type, Offset, Size, SHA384]),
        vector.sections.map(({ type, offset, data_size }) => {
          const data = bytes.subarray(offset + 12, offset + 12 + data_size);
          return [type, offset, data_size, createHash('sha384').update(data).digest('hex')];
        }),
      );
      const text = (await eif('inspect', path)).stdout.toString();
      for (const value of Object.values(vector.measurements)) assert.ok(text.includes(value));
    });

    it(`takes every section out of ${vector.name}`, async () => {
      await using folder = await tempFolder();
      const path = await folder.put(vector);
      assert.equal((await eif('extract', path, '--all', folder.file('all'))).code, 0);
      let ramdisks = 0;
      for (const { type, data_sha256 } of vector.sections) {
        const name = type === 'ramdisk' ? `ramdisk${ramdisks++}` : type;
        const data = await readFile(folder.file(`all/${name}`));
        assert.equal(createHash('sha256').update(data).digest('hex'), data_sha256);
      }
    });
  }

  it('gives JSON in the shape of nitro-cli describe-eif', async () => {
    const keys = (value: object): string[] => Object.keys(value);
    const theirs = JSON.parse(nitroCli.stdout['describe-eif-unsigned'] ?? '');
    await using folder = await tempFolder();
    const ours = json(await eif('inspect', await folder.put(valid[0]), '-o', 'json'));
    assert.deepEqual(keys(ours).slice(0, keys(theirs).length), keys(theirs));
    assert.deepEqual(keys(ours.Measurements), keys(theirs.Measurements));
    assert.deepEqual(keys(ours.Metadata), keys(theirs.Metadata));
    const signed = json(await eif('inspect', await folder.put(valid.find(({ signed }) => signed)), '-o', 'json'));
    assert.deepEqual(keys(signed.SigningCertificate), [
      'IssuerName',
      'Algorithm',
      'NotBefore',
      'NotAfter',
      'Signature',
    ]);
    assert.ok(typeof signed.SigningCertificate.IssuerName.commonName === 'string');
    assert.match(signed.SigningCertificate.Algorithm, /^ecdsa-with-SHA\d+$/);
    assert.match(signed.SigningCertificate.NotAfter, /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT$/);
    assert.match(signed.SigningCertificate.Signature, /^30(:[0-9A-F]{2}){60,110}$/);
  });

  const codes: Record<string, string> = {
    header: 'EIF_HEADER',
    section: 'EIF_SECTION',
    sections: 'EIF_SECTIONS',
    crc: 'EIF_CRC',
    metadata: 'EIF_METADATA',
    signature: 'EIF_SIGNATURE',
  };
  const codeOf = ({ name, failing_check }: InvalidCase): string | undefined =>
    name === 'truncated-header' ? 'EIF_TRUNCATED' : codes[failing_check];

  for (const vector of invalid.filter(({ name }) => name !== 'signature-certificate-expired')) {
    it(`refuses ${vector.name}`, async () => {
      await using folder = await tempFolder();
      const [bad, good] = [await folder.put(vector), await folder.put(valid[0])];
      const error = `error[${codeOf(vector)}]: ${bad}: `;
      const runs: [number, string[]][] = [
        [1, ['ls', bad]],
        [1, ['extract', bad, '--all', folder.file('all')]],
        [2, ['diff', good, bad, '-o', 'json']],
      ];
      for (const [code, args] of runs) {
        const ended = await eif(...args);
        assert.equal(ended.code, code, args.join(' '));
        assert.ok(ended.stderr.startsWith(error), ended.stderr);
        assert.match(ended.stderr, /\n {2}help: /);
        assert.equal(ended.stdout.length, 0);
      }
      assert.deepEqual((await readdir(folder.path)).sort(), [`${vector.name}.eif`, `${valid[0]?.name}.eif`].sort());
    });

    it(`says of ${vector.name} what can be said`, async () => {
      await using folder = await tempFolder();
      const ended = await eif('inspect', await folder.put(vector), '-o', 'json');
      const code = codeOf(vector);
      if (['header', 'section', 'sections'].includes(vector.failing_check)) {
        assert.equal(ended.code, 1);
        assert.equal(ended.stdout.length, 0);
        assert.ok(ended.stderr.startsWith(`error[${code}]`));
        return;
      }
      const found = json(ended);
      assert.match(found.Measurements.PCR0, /^[0-9a-f]{96}$/);
      assert.deepEqual(
        found.Problems.map(({ Code }: { Code: string }) => Code),
        [code],
      );
      assert.equal(found.CheckCRC, vector.failing_check !== 'crc');
      const isSignature = vector.failing_check === 'signature';
      assert.equal(ended.code, isSignature ? 0 : 1);
      assert.equal(ended.stderr.includes(`error[${code}]`), !isSignature);
      if (isSignature) {
        assert.deepEqual([found.IsSigned, found.SignatureCheck], [true, false]);
        assert.equal(found.Measurements.PCR8, undefined);
      }
    });
  }

  it('reports a certificate that has expired and goes on', async () => {
    await using folder = await tempFolder();
    const path = await folder.put(invalid.find(({ name }) => name === 'signature-certificate-expired'));
    const ended = await eif('inspect', path, '-o', 'json');
    const found = json(ended);
    assert.deepEqual([ended.code, found.SignatureCheck], [0, true]);
    assert.match(found.Problems[0].Message, /valid from .* to 2021-01-01T00:00:00.000Z/);
    const text = (await eif('inspect', path)).stdout.toString();
    assert.match(text, /^Signature .* not valid now, only from .* to 2021-01-01/m);
    assert.equal((await eif('ls', path)).code, 0);
  });
});
