import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { type Ended, type Workplace, workplace } from './trust-support.ts';

const vectors = new URL('../../libs/attestation/test/vectors/', import.meta.url);
const command = new URL('../bin/enclaver', import.meta.url).pathname;

interface Synthetic {
  root_pem: string;
  cases: { name: string; document_b64: string; nonce_hex: string; user_data_hex: string; public_key_hex: string }[];
  baseline_payload: { pcrs: Record<string, string> };
}

const PROD = 'real/dstack-2025-12-prod.b64';
const DEBUG = 'real/dstack-2025-12-debug.b64';
const AT = ['--at', '2025-12-25T17:00:00Z'];
const PCR0 = 'eb7d0dab08ff41546d7e5659aee883af7b32bb2e58e46815b719f9f7bfae7b880188a10d86317e6509923740526cf74a';
const OTHER = 'ab'.repeat(48);

async function withDocument(name: string): Promise<Workplace> {
  const place = await workplace();
  await place.write('document', await readFile(new URL(name, vectors), 'utf8'));
  return place;
}

async function synthetic(): Promise<Synthetic> {
  return JSON.parse(await readFile(new URL('synthetic.json', vectors), 'utf8'));
}

const failed = ({ stderr }: Ended): string[] => [...stderr.matchAll(/^error\[(\w+)\]/gm)].map(([, code = '']) => code);

describe('enclaver attest verify', function () {
  this.timeout(60_000);

  it('prints the fields of a genuine document, and what was not checked', async () => {
    await using place = await withDocument(PROD);
    const { code, stdout, stderr } = await place.enclaver('attest', 'verify', 'document', ...AT);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^module_id +i-0827e799ec9232d44-enc019b5640fdf630d6$/m);
    assert.match(stdout, /^timestamp +2025-12-25T16:04:19.346Z$/m);
    assert.match(stdout, new RegExp(`^PCR0 +${PCR0}$`, 'm'));
    assert.match(stdout, /^zero +PCR3 PCR5 /m);
    assert.match(stdout, /^verified at 2025-12-25T17:00:00.000Z; not checked, since not given: registers, nonce$/m);
  });

  it('reads base64 and CBOR, from a file and from stdin', async () => {
    await using place = await withDocument(PROD);
    const bytes = Buffer.from(await readFile(place.file('document'), 'latin1'), 'base64');
    await writeFile(place.file('document.cbor'), bytes);
    assert.equal((await place.enclaver('attest', 'verify', 'document.cbor', ...AT)).code, 0);
    const piped = await place.sh(`enclaver attest verify - ${AT.join(' ')} < document.cbor`);
    assert.equal(piped.code, 0, piped.stderr);
    const child = spawn(command, ['attest', 'verify', '-', ...AT, '-o', 'json'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(bytes.toString('base64').replace(/.{64}/g, '$&\n'));
    const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
    assert.equal(code, 0);
    const { verdict, document, unchecked, failures } = JSON.parse(stdout);
    assert.deepEqual([verdict, unchecked, failures], ['verified', ['registers', 'nonce'], []]);
    assert.equal(document.pcrs.PCR0, PCR0);
    assert.equal(document.public_key, null);
  });

  it('says "not checked" of nothing that was checked', async () => {
    const { root_pem, cases, baseline_payload } = await synthetic();
    const vector = cases.find(({ name }) => name === 'baseline-with-options');
    assert.ok(vector !== undefined);
    await using place = await workplace();
    await place.write('document', vector.document_b64);
    await place.write('root.pem', root_pem);
    const publicKey = Buffer.from(vector.public_key_hex, 'hex');
    await writeFile(place.file('key.der'), publicKey);
    const pem = `-----BEGIN PUBLIC KEY-----\n${publicKey.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END PUBLIC KEY-----\n`;
    await place.write('key.pem', pem);
    const pcrs = baseline_payload.pcrs;
    await place.write('expected.json', { Measurements: { PCR0: pcrs[0], PCR3: pcrs[3], PCR4: pcrs[4] } });
    const all = (key: string) =>
      place.enclaver(
        ...['attest', 'verify', 'document', '--root', 'root.pem', '--at', '2026-01-15T13:00:00+01:00', '-o', 'json'],
        ...['--expect', 'expected.json', '--pcr1', String(pcrs[1]), '--nonce', vector.nonce_hex, '--max-age', '5m'],
        ...['--user-data', vector.user_data_hex, '--public-key', key],
      );
    for (const key of ['key.der', 'key.pem']) {
      const { code, stdout, stderr } = await all(key);
      assert.equal(code, 0, stderr);
      assert.deepEqual(JSON.parse(stdout).unchecked, []);
    }
    const { publicKey: other } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await place.write('other.pem', other.export({ type: 'spki', format: 'pem' }).toString());
    assert.deepEqual(failed(await all('other.pem')), ['ATTESTATION_PUBLIC_KEY']);
  });

  it('tells each expectation that is not met, with exit code 1', async () => {
    await using place = await withDocument(PROD);
    const ended = await place.enclaver(
      ...[
        'attest',
        'verify',
        'document',
        ...AT,
        '--pcr0',
        OTHER,
        '--pcr16',
        OTHER,
        '--nonce',
        '00',
        '--max-age',
        '90s',
      ],
    );
    assert.equal(ended.code, 1);
    assert.deepEqual(failed(ended), ['ATTESTATION_PCR', 'ATTESTATION_PCR', 'ATTESTATION_NONCE', 'ATTESTATION_TOO_OLD']);
    assert.match(ended.stdout, /^refused: ATTESTATION_PCR, ATTESTATION_NONCE, ATTESTATION_TOO_OLD$/m);
    assert.match(ended.stderr, new RegExp(`PCR0 is ${PCR0}; expected is ${OTHER}`));
    assert.match(ended.stderr, /PCR16 is missing/);
    assert.equal(ended.stderr.match(/^ {2}help: /gm)?.length, 4);
  });

  it('refuses debug mode unless it is allowed', async () => {
    await using place = await withDocument(DEBUG);
    const at = ['--at', '2025-12-25T09:00:00Z'];
    assert.deepEqual(failed(await place.enclaver('attest', 'verify', 'document', ...at)), ['ATTESTATION_DEBUG']);
    assert.equal((await place.enclaver('attest', 'verify', 'document', ...at, '--allow-debug')).code, 0);
  });

  it('verifies at this moment unless told otherwise', async () => {
    await using place = await withDocument(PROD);
    assert.deepEqual(failed(await place.enclaver('attest', 'verify', 'document')), ['ATTESTATION_EXPIRED']);
  });

  it('refuses what is no document, and shows no field of it', async () => {
    await using place = await withDocument(PROD);
    await writeFile(place.file('other.cbor'), Buffer.from('84f6', 'hex'));
    const ended = await place.enclaver('attest', 'verify', 'other.cbor', '-o', 'json');
    assert.deepEqual(failed(ended), ['ATTESTATION_CBOR']);
    assert.equal(JSON.parse(ended.stdout).document, null);
    for (const [content, code] of [
      ['not base64!', 'ATTEST_FILE_INVALID'],
      ['', 'ATTEST_FILE_INVALID'],
      ['QQ==', 'ATTESTATION_CBOR'],
      ['A'.repeat(24_000), 'ATTESTATION_TOO_LARGE'],
      ['A'.repeat(40_000), 'ATTEST_FILE_INVALID'],
    ]) {
      await place.write('other', content as string);
      assert.deepEqual(failed(await place.enclaver('attest', 'verify', 'other')), [code]);
    }
  });

  it('shows text of a forged document without what a terminal would obey', async () => {
    await using place = await withDocument(PROD);
    const bytes = Buffer.from(await readFile(place.file('document'), 'latin1'), 'base64');
    bytes[bytes.indexOf('i-0827')] = 0x1b;
    await writeFile(place.file('document'), bytes);
    const ended = await place.enclaver('attest', 'verify', 'document', ...AT);
    assert.deepEqual(failed(ended), ['ATTESTATION_SIGNATURE']);
    assert.match(ended.stdout, /^module_id +\\x1b-0827/m);
    assert.ok(!ended.stdout.includes('\x1b') && !ended.stderr.includes('\x1b'));
  });

  it('refuses files that are not what they must be', async () => {
    const { root_pem } = await synthetic();
    await using place = await withDocument(PROD);
    await place.write('two.pem', `${root_pem}${root_pem}`);
    await place.write('damaged.pem', root_pem.replace('MII', 'MIA'));
    await place.write('key.pem', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n');
    for (const args of [
      ['none'],
      ['document', '--root', 'none'],
      ['document', '--root', 'two.pem'],
      ['document', '--root', 'document'],
      ['document', '--root', 'damaged.pem'],
      ['document', '--public-key', 'key.pem'],
    ]) {
      const ended = await place.enclaver('attest', 'verify', ...args);
      assert.deepEqual([ended.code, failed(ended), ended.stdout], [1, ['ATTEST_FILE_INVALID'], ''], args.join(' '));
    }
    await place.write('empty.json', {});
    assert.deepEqual(failed(await place.enclaver('attest', 'verify', 'document', '--expect', 'empty.json')), [
      'EXPECTATION_INVALID',
    ]);
  });

  it('refuses options that it cannot follow', async () => {
    await using place = await withDocument(PROD);
    await place.write('expected.json', { PCR0 });
    for (const args of [
      ['--nonce', 'xyz'],
      ['--nonce', 'abc'],
      ['--pcr0', '00'],
      ['--pcr32', OTHER],
      ['--max-age', '5'],
      ['--max-age', '-5m'],
      ['--at', '2026-01-15T12:00:00'],
      ['--at', '2026-02-31T12:00:00Z'],
      ['--at', '2026-02-03'],
      ['--key', 'cosign.pub'],
      ['--expect', 'expected.json', '--pcr0', OTHER],
    ]) {
      const { code, stdout } = await place.enclaver('attest', 'verify', 'document', ...args);
      assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    }
  });
});

describe('commands and programs of docs/attestation.md', function () {
  this.timeout(60_000);

  it('run as they stand there', async () => {
    await using place = await workplace();
    await place.write('document.b64', await readFile(new URL(PROD, vectors), 'utf8'));
    const markdown = await readFile(new URL('../../docs/attestation.md', import.meta.url), 'utf8');
    const blocksOf = (language: string): string[] =>
      [...markdown.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, block = '']) => block);
    assert.ok(blocksOf('sh').length >= 2 && blocksOf('js').length >= 1);
    const commands = await place.sh(blocksOf('sh').join('\n'));
    assert.equal(commands.code, 0, commands.stderr);
    assert.equal(JSON.parse(await readFile(place.file('verdict.json'), 'utf8')).verdict, 'verified');
    for (const program of blocksOf('js')) {
      const resolved = import.meta.resolve('@enclaver/attestation');
      await place.write('program.mjs', program.replaceAll("'@enclaver/attestation'", JSON.stringify(resolved)));
      const { code, stdout, stderr } = await place.sh(`"${process.execPath}" program.mjs`);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^i-0827e799ec9232d44-enc/);
      assert.match(stdout, /ATTESTATION_EXPIRED/);
    }
  });
});

describe('enclaver attest root', function () {
  this.timeout(20_000);

  it('prints the certificate of the development root, which it makes once and keeps to its owner', async () => {
    await using place = await workplace();
    const print = () => place.sh(`ENCLAVER_NSM_DIR=${place.file('nsm')} enclaver attest root`);
    const first = await print();
    assert.equal(first.code, 0, first.stderr);
    assert.match(new X509Certificate(first.stdout).subject, /CN=Enclaver DEVELOPMENT root/);
    assert.equal((await print()).stdout, first.stdout);
    assert.equal(await readFile(place.file('nsm/development-root.crt'), 'utf8'), first.stdout);
    assert.equal((await stat(place.file('nsm/development-root.pem'))).mode & 0o777, 0o600);
  });
});
