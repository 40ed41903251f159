import assert from 'node:assert/strict';
import { DestinationError, Policy, parseDestination } from '@enclaver/egress-policy';
import { parseIpAddress } from '@enclaver/manifest';
import fc from 'fast-check';

interface Case {
  readonly allow: readonly string[];
  readonly deny?: readonly string[];
  readonly yes?: readonly string[];
  readonly no?: readonly string[];
  readonly port?: number;
}

const cases: Record<string, Case> = {
  // The original's own
  'a name stands for itself alone': {
    allow: ['example.com'],
    yes: ['example.com', 'Example.COM'],
    no: ['abc.example.com', 'example', 'ample.com'],
  },
  '* stands for one label': { allow: ['*.com'], yes: ['cnn.CoM'], no: ['news.ycombinator.com', 'com'] },
  '* stands for one label inside, too': {
    allow: ['foo.*.com'],
    yes: ['foo.bar.com'],
    no: ['foo.bar.example.com', 'foo.com'],
  },
  '** stands for one or more labels': {
    allow: ['**.amazonaws.com'],
    yes: ['kms.amazonaws.com', 'a.b.c.amazonaws.com'],
    no: ['amazonaws.com', 'amazonaws.com.evil.org'],
  },
  'deny beats allow': {
    allow: ['**'],
    deny: ['**.evil.com', 'evil.com'],
    yes: ['good.com'],
    no: ['evil.com', 'a.evil.com'],
  },
  'ranges are for addresses, host bits do not count': {
    allow: ['66.254.33.22/24', '2001:db8::/32'],
    yes: ['66.254.33.1', '[2001:db8::5]', '2001:db8::5'],
    no: ['66.254.34.1', '[2001:db9::5]', 'example.com'],
  },
  'name rules do not open addresses': { allow: ['**', '*'], yes: ['a.b'], no: ['1.2.3.4', '[2001:db8::1]'] },
  // Its faults, mended
  'a closing dot changes nothing': {
    allow: ['**', 'example.com'],
    deny: ['evil.com'],
    yes: ['example.com.'],
    no: ['evil.com.', 'EVIL.com.'],
  },
  'other spellings of an address are that address': {
    allow: ['**', '0.0.0.0/0'],
    deny: ['10.0.0.0/8'],
    no: ['10.1', '167772161', '0xa.1', '012.0.0.1', '10.0.0.1.', '１０.0.0.1', '[::ffff:10.0.0.1]', '::ffff:a00:1'],
    yes: ['11.1', '[::ffff:11.0.0.1]'],
  },
  'an address inside an IPv6 one is denied with it': {
    allow: ['::/0'],
    deny: ['10.0.0.0/8'],
    no: ['[64:ff9b::10.0.0.1]', '[::10.0.0.1]'],
    yes: ['[64:ff9b::11.0.0.1]'],
  },
  'a rule may name a mapped range': { allow: ['::ffff:10.0.0.0/104'], yes: ['10.1.2.3'], no: ['11.1.2.3'] },
  'labels left of ** count': { allow: ['a.**.com'], yes: ['a.x.com', 'a.x.y.com'], no: ['x.y.com', 'a.com'] },
  'the keyword host is opened by itself alone (fault D8)': {
    allow: ['*', '**', '0.0.0.0/0'],
    yes: ['localhost'],
    no: ['host', 'HOST', 'host.', 'ho\uFB06'],
  },
  'host opens the keyword': { allow: ['host'], yes: ['host', 'HOST.'], no: ['a.host', 'localhost'] },
  'a denied ** closes host': { allow: ['host'], deny: ['**'], no: ['host'] },
  'international names': { allow: ['xn--mnchen-3ya.de'], yes: ['münchen.de', 'MÜNCHEN.de'], no: ['munchen.de'] },
  'general ranges do not open special addresses': {
    allow: ['0.0.0.0/0', '::/0'],
    yes: ['8.8.8.8', '[2606:4700::1]', '192.168.0.1'],
    no: [
      '127.0.0.1',
      '169.254.169.254',
      '169.254.170.2',
      '169.254.170.23',
      '[::ffff:169.254.169.254]',
      '2852039166',
      '0.0.0.0',
      '224.0.0.1',
      '[::1]',
      '[::]',
      '[fe80::1]',
      '[ff02::1]',
      '[::ffff:127.0.0.1]',
      '[fd00:ec2::254]',
      '[fd00:ec2::23]',
    ],
  },
  'special ranges do': {
    allow: ['169.254.169.254', '127.0.0.0/8', '::1'],
    yes: ['169.254.169.254', '127.1', '[::1]'],
    no: ['169.254.1.1'],
  },
  'ports in allow': {
    allow: ['example.com:443', '10.0.0.0/8:8000-8010'],
    port: 443,
    yes: ['example.com'],
    no: ['10.0.0.1'],
  },
  'a port that the range has': { allow: ['10.0.0.0/8:8000-8010'], port: 8005, yes: ['10.0.0.1'] },
  'ports in deny': { allow: ['**'], deny: ['**:25'], port: 25, no: ['example.com'] },
  'other ports than those denied': { allow: ['**'], deny: ['**:25'], port: 26, yes: ['example.com'] },
  'nothing is open by default': { allow: [], no: ['example.com', '1.2.3.4', 'host'] },
};

const decide = (policy: Policy, host: string, port: number) => policy.decide(parseDestination(host, port));

describe('egress policy', () => {
  for (const [name, { allow, deny = [], yes = [], no = [], port = 80 }] of Object.entries(cases)) {
    it(name, () => {
      const policy = new Policy({ allow, deny });
      for (const host of yes) assert.equal(decide(policy, host, port).allowed, true, `${host} should be open`);
      for (const host of no) assert.equal(decide(policy, host, port).allowed, false, `${host} should be closed`);
    });
  }

  it('names the rule that decided', () => {
    const policy = new Policy({ allow: ['**.com', '10.0.0.0/8'], deny: ['evil.com'] });
    assert.equal(decide(policy, 'a.com', 80).rule, 'allow **.com');
    assert.equal(decide(policy, '10.1.1.1', 80).rule, 'allow 10.0.0.0/8');
    assert.equal(decide(policy, 'evil.com', 80).rule, 'deny evil.com');
    assert.equal(decide(policy, 'a.org', 80).rule, 'no allow rule');
  });

  it('refuses what is no host', () => {
    const bad = [
      '',
      '.',
      'a..b',
      '.example.com',
      'a b',
      'a/b',
      'a@b',
      'ex%61mple.com',
      'a\\b',
      '*.com',
      'a:b',
      '[1.2.3.4]',
      '[a]',
      'fe80::1%eth0',
      '256.1.1.1',
      'a\0b',
      `${'a'.repeat(64)}.com`,
      `${'a.'.repeat(127)}com`,
      'a,b',
      "a'b",
    ];
    for (const host of bad) assert.throws(() => parseDestination(host, 80), DestinationError, JSON.stringify(host));
  });

  const dialledCases: [allow: string[], deny: string[], host: string, dialled: string, allowed: boolean][] = [
    [['**'], [], 'a.com', '93.184.216.34', true],
    [['**'], [], 'a.com', '10.0.0.1', false],
    [['**'], [], 'a.com', '172.31.0.1', false],
    [['**'], [], 'a.com', '192.168.1.1', false],
    [['**'], [], 'a.com', '100.64.0.1', false],
    [['**'], [], 'a.com', 'fd12::1', false],
    [['**'], [], 'a.com', '64:ff9b::10.0.0.1', false],
    [['**.com'], [], 'a.com', '10.0.0.1', false],
    [['*.com'], [], 'a.com', '10.0.0.1', false],
    [['a.com'], [], 'a.com', '10.0.0.1', true],
    [['db'], [], 'db', '10.0.0.1', true],
    [['a.com:443', '**'], [], 'a.com', '10.0.0.1', false],
    [['**.b.com'], [], 'a.b.com', '10.0.0.1', true],
    [['kms.*.amazonaws.com'], [], 'kms.eu-west-1.amazonaws.com', '10.0.0.1', true],
    [['**', '10.0.0.0/8'], [], 'a.com', '10.0.0.1', true],
    [['**', '10.0.0.0/8:443'], [], 'a.com', '10.0.0.1', false],
    [['a.com'], ['10.0.0.0/8'], 'a.com', '10.0.0.1', false],
    [['**'], ['10.0.0.0/8'], 'a.com', '10.0.0.1', false],
    [['**'], ['10.0.0.0/8'], 'a.com', '::ffff:10.0.0.1', false],
    [['**'], [], 'a.com', '127.0.0.1', false],
    [['**'], [], 'a.com', '0.0.0.0', false],
    [['**'], [], 'a.com', '169.254.169.254', false],
    [['**', '0.0.0.0/0'], [], 'a.com', '169.254.169.254', false],
    [['**', '169.254.169.254'], [], 'a.com', '169.254.169.254', true],
    [['**', '169.254.169.254:443'], [], 'a.com', '169.254.169.254', false],
    [['**'], [], 'a.com', '::1', false],
    [['**'], [], 'a.com', 'fe80::1', false],
    [['**'], [], 'a.com', '64:ff9b::a9fe:a9fe', false],
    [['a.com'], [], 'a.com', '169.254.170.2', false],
    [['a.com'], [], 'a.com', '169.254.170.23', false],
    [['a.com'], [], 'a.com', 'fd00:ec2::254', false],
    [['a.com', 'fc00::/7'], [], 'a.com', 'fd00:ec2::23', false],
    [['a.com', 'fd00:ec2::23'], [], 'a.com', 'fd00:ec2::23', true],
    [['**'], [], 'localhost', '127.0.0.1', false],
    [['host'], [], 'host', '127.0.0.1', true],
    [['1.2.3.4'], [], '1.2.3.4', '1.2.3.4', true],
    [['1.2.3.4'], [], '1.2.3.4', '::ffff:1.2.3.4', true],
    [['0.0.0.0/0'], [], '1.2.3.4', '1.2.3.5', false],
  ];
  for (const [allow, deny, host, dialled, allowed] of dialledCases) {
    it(`${allowed ? 'takes' : 'refuses'} ${dialled} for ${host}, allow ${allow}, deny ${deny}`, () => {
      const address = parseIpAddress(dialled);
      assert.ok(address);
      assert.equal(new Policy({ allow, deny }).decideDialled(parseDestination(host, 80), address).allowed, allowed);
    });
  }

  it('matches names as a regular expression would', () => {
    const label = fc.constantFrom('a', 'b', 'c');
    const wild = fc.constantFrom('a', 'b', '*', '**');
    const toExpression = (pattern: string): RegExp => {
      const parts = pattern
        .split('.')
        .map((part) => (part === '**' ? '[^.]+(?:\\.[^.]+)*' : part === '*' ? '[^.]+' : part));
      return new RegExp(`^${parts.join('\\.')}$`);
    };
    const patterns = fc.array(
      fc.array(wild, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.')),
      { maxLength: 4 },
    );
    const names = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.'));
    fc.assert(
      fc.property(patterns, patterns, names, (allow, deny, name) => {
        const matches = (list: readonly string[]): boolean => list.some((pattern) => toExpression(pattern).test(name));
        assert.equal(decide(new Policy({ allow, deny }), name, 80).allowed, matches(allow) && !matches(deny));
      }),
      { numRuns: 2_000 },
    );
  });

  it('compares addresses and ranges as numbers would', () => {
    const toText = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
    // Within 16.0.0.0/6, where nothing is special
    const value = fc.integer({ min: 0, max: 0x03ff_ffff }).map((low) => 0x1000_0000 + low);
    const range = fc.tuple(value, fc.integer({ min: 6, max: 32 }));
    const contains = ([base, prefix]: readonly [number, number], one: number): boolean =>
      Math.floor(base / 2 ** (32 - prefix)) === Math.floor(one / 2 ** (32 - prefix));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 4 }), fc.array(range, { maxLength: 4 }), value, (allow, deny, one) => {
        const policy = new Policy({
          allow: allow.map(([base, prefix]) => `${toText(base)}/${prefix}`),
          deny: deny.map(([base, prefix]) => `${toText(base)}/${prefix}`),
        });
        const expected = allow.some((entry) => contains(entry, one)) && !deny.some((entry) => contains(entry, one));
        for (const spelling of [toText(one), `${one}`, `0x${one.toString(16)}`, `[::ffff:${toText(one)}]`]) {
          assert.equal(decide(policy, spelling, 80).allowed, expected, spelling);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
