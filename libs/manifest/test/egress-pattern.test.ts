import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  cidrContains,
  EgressPatternError,
  parseCidr,
  parseEgressPattern,
  parseImageReference,
  parseImageSource,
  parseIpAddress,
} from '../src/index.ts';

const refused = (text: string, why: RegExp): void => {
  assert.throws(
    () => parseEgressPattern(text),
    (error) => error instanceof EgressPatternError && why.test(error.message),
    text,
  );
};
const ip = (text: string) => parseIpAddress(text) ?? assert.fail(`${text} is no address`);

describe('parseEgressPattern', () => {
  it('reads domains label by label, in lower case', () => {
    const cases: [string, string[]][] = [
      ['example.com', ['example', 'com']],
      ['EXAMPLE.Com.', ['example', 'com']],
      ['*', ['*']],
      ['**', ['**']],
      ['*.com', ['*', 'com']],
      ['a.**.com', ['a', '**', 'com']],
      ['kms.*.amazonaws.com', ['kms', '*', 'amazonaws', 'com']],
      ['_dmarc.x-y.example', ['_dmarc', 'x-y', 'example']],
      ['xn--bcher-kva.de', ['xn--bcher-kva', 'de']],
      ['1password.com', ['1password', 'com']],
      ['localhost', ['localhost']],
      ['hosts', ['hosts']],
    ];
    for (const [text, labels] of cases) assert.deepEqual(parseEgressPattern(text), { kind: 'domain', labels });
  });

  it('reads the keyword host', () => {
    assert.deepEqual(parseEgressPattern('host'), { kind: 'host' });
    assert.deepEqual(parseEgressPattern('HOST:5432'), { kind: 'host', ports: { from: 5432, to: 5432 } });
  });

  it('reads addresses and ranges, and clears host bits', () => {
    const cases: [string, number[], number][] = [
      ['192.0.2.1', [192, 0, 2, 1], 32],
      ['66.254.33.22/24', [66, 254, 33, 0], 24],
      ['10.1.2.3/255.0.0.0', [10, 0, 0, 0], 8],
      ['10.1.2.3/9', [10, 0, 0, 0], 9],
      ['0.0.0.0/0', [0, 0, 0, 0], 0],
    ];
    for (const [text, bytes, prefix] of cases) {
      assert.deepEqual(parseEgressPattern(text), {
        kind: 'ip',
        cidr: { family: 4, bytes: Uint8Array.from(bytes), prefix },
      });
    }
    const loopback = Uint8Array.from([...Array(15).fill(0), 1]);
    assert.deepEqual(parseEgressPattern('::1'), { kind: 'ip', cidr: { family: 6, bytes: loopback, prefix: 128 } });
  });

  it('reads ports behind every kind', () => {
    assert.deepEqual(parseEgressPattern('example.com:443').ports, { from: 443, to: 443 });
    assert.deepEqual(parseEgressPattern('*.example.com:8000-8999').ports, { from: 8000, to: 8999 });
    assert.deepEqual(parseEgressPattern('10.0.0.0/8:5432').ports, { from: 5432, to: 5432 });
    for (const text of ['[::1]:80', '[2001:db8::/32]:80']) {
      const pattern = parseEgressPattern(text);
      assert.equal(pattern.kind, 'ip');
      assert.deepEqual(pattern.ports, { from: 80, to: 80 });
    }
    assert.equal(parseEgressPattern('[::1]').ports, undefined);
    assert.equal(parseEgressPattern('::1:80').ports, undefined);
  });

  it('refuses what looks like an address and is none', () => {
    for (const text of [
      '10.0.0.0/33',
      '10.0.0/8',
      '10.0.0.0/',
      '10.0.0.0/08',
      '10.0.0.0/8/8',
      '10.0.0.0/255.0.255.0',
      '256.1.1.1',
      '1.2.3',
      '127.1',
      '2130706433',
      '01.2.3.4',
      '0x7f.1',
      'a.0x7f',
      'example.1',
      '*.1',
      '1.2.3.4.',
      '::1/129',
      'fe80::1%eth0',
      ':::',
      '1:2',
      '[10.0.0.x]',
      '[]',
      'example.com/path',
    ]) {
      refused(text, /looks like an address|not a port/);
    }
    refused('[10.0.0.1]', /for IPv6/);
  });

  it('refuses malformed domains', () => {
    refused('', /empty/);
    refused('.example.com', /empty label/);
    refused('a..b', /empty label/);
    refused('foo*', /whole label/);
    refused('***', /whole label/);
    refused('-a.com', /not a domain label/);
    refused('a-.com', /not a domain label/);
    refused('a,b', /not a domain label/);
    refused(`${'a'.repeat(64)}.com`, /not a domain label/);
    refused(`${'a.'.repeat(126)}com`, /at most 253/);
    refused(`${'a.'.repeat(200)}com`, /at most 266/);
    refused('bücher.de', /"xn--bcher-kva\.de"/);
    refused('a b', /white space/);
    refused('https://example.com', /no scheme/);
  });

  it('refuses malformed ports', () => {
    for (const text of [
      'a:',
      'a:0',
      'a:65536',
      'a:080',
      'a:80-',
      'a:90-80',
      'a:http',
      'a:1-2-3',
      '[::1]:',
      '[::1]:x',
    ]) {
      refused(text, /is not a port/);
    }
    refused('[::1', /not closed/);
    refused('[::1]80', /more than a port/);
  });

  it('fails with its own error alone', () => {
    const characters = fc.constantFrom(...'*.:/[]-01fa%'.split(''), 'host', '::', '255');
    fc.assert(
      fc.property(fc.array(characters, { maxLength: 12 }), (parts) => {
        try {
          parseEgressPattern(parts.join(''));
        } catch (error) {
          assert.ok(error instanceof EgressPatternError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('addresses', () => {
  it('every IPv4 and IPv6 address parses to its bytes', () => {
    fc.assert(fc.property(fc.ipV4(), (text) => assert.deepEqual([...ip(text).bytes], text.split('.').map(Number))));
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        // The URL parser is another reader of the same grammar; it prints the one short form of the bytes.
        const { bytes } = ip(text);
        const groups = Array.from({ length: 8 }, (_, n) =>
          (((bytes[2 * n] ?? 0) << 8) | (bytes[2 * n + 1] ?? 0)).toString(16),
        );
        assert.equal(new URL(`http://[${groups.join(':')}]/`).host, new URL(`http://[${text}]/`).host);
      }),
    );
  });

  it('a range holds exactly the addresses that share its prefix', () => {
    const bits = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
    const sixteen = fc.uint8Array({ minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(sixteen, sixteen, fc.integer({ min: 0, max: 32 }), (a, b, prefix) => {
        const cidr = parseCidr(`${a.join('.')}/${prefix}`);
        const expected = bits(a).slice(0, prefix) === bits(b).slice(0, prefix);
        assert.equal(cidrContains(cidr, { family: 4, bytes: b }), expected);
        assert.ok(cidrContains(cidr, { family: 4, bytes: a }));
      }),
    );
    assert.ok(cidrContains(parseCidr('2001:db8::/33'), ip('2001:db8:7fff::1')));
    assert.ok(!cidrContains(parseCidr('2001:db8::/33'), ip('2001:db8:8000::1')));
  });

  it('families never match each other', () => {
    assert.ok(!cidrContains(parseCidr('0.0.0.0/0'), ip('::ffff:10.0.0.1')));
    assert.ok(!cidrContains(parseCidr('::/0'), ip('10.0.0.1')));
  });
});

describe('image names', () => {
  it('reads references', () => {
    const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
    const cases: [string, string | undefined, string | undefined][] = [
      ['app', undefined, undefined],
      ['app:1.0', '1.0', undefined],
      ['docker.io/library/app:latest', 'latest', undefined],
      ['Registry.Example.com:5000/a/b__c/d-e.f:T_1', 'T_1', undefined],
      [`app@${digest}`, undefined, digest],
      [`localhost:5000/app:1@${digest}`, '1', digest],
      [digest, digest.slice(7), undefined],
      ['[::1]:5000/app', undefined, undefined],
    ];
    for (const [text, tag, wanted] of cases) {
      const read = parseImageReference(text);
      assert.deepEqual([read.tag, read.digest], [tag, wanted]);
    }
  });

  it('refuses malformed ones', () => {
    for (const text of [
      '',
      'App',
      'a//b',
      '/a',
      'a/',
      'a:',
      'a:-x',
      'a@sha256:12',
      'http://a/b',
      'a b',
      `a:${'x'.repeat(129)}`,
      'x'.repeat(256),
      `${'a/'.repeat(100_000)}`,
    ]) {
      assert.throws(() => parseImageReference(text), { code: 'IMAGE_SOURCE' }, text.slice(0, 40));
    }
  });

  it('reads local images', () => {
    assert.deepEqual(parseImageSource('docker-archive:a.tar'), { kind: 'docker-archive', path: 'a.tar' });
    assert.deepEqual(parseImageSource('oci:/a b/c'), { kind: 'oci', path: '/a b/c' });
    assert.deepEqual(parseImageSource('oci-archive:a.tar:v1'), { kind: 'oci-archive', path: 'a.tar', reference: 'v1' });
    assert.deepEqual(parseImageSource('oci:a:example.com/app:v1'), {
      kind: 'oci',
      path: 'a',
      reference: 'example.com/app:v1',
    });
    for (const text of ['oci:', 'docker-archive:', 'docker-archive:a:b', 'oci:a:', 'oci::v1']) {
      assert.throws(() => parseImageSource(text), { code: 'IMAGE_SOURCE' }, text);
    }
  });
});
