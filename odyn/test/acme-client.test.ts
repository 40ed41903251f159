import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { AcmeError } from '../src/acme/acme-error.ts';
import { readIssued } from '../src/acme/issued.ts';
import { orderCertificate } from '../src/acme/order.ts';
import { pauseAfter, renewAt } from '../src/acme/schedule.ts';
import { AcmeSession, type HttpAnswer, type HttpClient, type HttpRequest } from '../src/acme/session.ts';
import { pem, selfSigned } from '../src/x509/self-signed.ts';
import { Pki } from './tls-bench.ts';

const DIRECTORY = {
  newNonce: 'https://ca.example/nonce',
  newAccount: 'https://ca.example/account',
  newOrder: 'https://ca.example/order',
};
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** An authority that answers by path, as it likes. */
class FakeAuthority implements HttpClient {
  readonly asked: HttpRequest[] = [];
  readonly #answers: Readonly<Record<string, unknown>>;

  constructor(answers: Readonly<Record<string, unknown>>) {
    this.#answers = { '/dir': DIRECTORY, '/nonce': {}, '/account': {}, ...answers };
  }

  async exchange(request: HttpRequest): Promise<HttpAnswer> {
    this.asked.push(request);
    const given = this.#answers[request.url.pathname];
    const answer = typeof given === 'function' ? given() : given;
    const headers = { 'replay-nonce': 'abc', location: 'https://ca.example/mine' };
    const body = Buffer.from(typeof answer === 'string' ? answer : (JSON.stringify(answer) ?? ''));
    return { status: answer === undefined ? 404 : 200, headers, body };
  }

  close(): void {}

  async order(signal = AbortSignal.timeout(5_000)): Promise<string> {
    const session = await AcmeSession.open(this, 'https://ca.example/dir', key);
    await session.account([]);
    return orderCertificate(session, { domains: ['a.example'], key, show: async () => {}, signal });
  }
}

describe('an authority of ACME that is hostile', () => {
  const order = {
    status: 'pending',
    authorizations: ['https://ca.example/authz'],
    finalize: 'https://ca.example/final',
  };
  const challenge = { type: 'tls-alpn-01', url: 'https://ca.example/chall', status: 'pending', token: 'x'.repeat(43) };
  const authz = { status: 'pending', identifier: { type: 'dns', value: 'a.example' }, challenges: [challenge] };

  const faults: Record<string, [Record<string, unknown>, RegExp]> = {
    'leads to another host': [
      { '/order': { ...order, authorizations: ['https://other.example/authz'] } },
      /not on the host/,
    ],
    'leads to its host without TLS': [
      { '/order': { ...order, authorizations: ['http://ca.example/authz'] } },
      /not one we know/,
    ],
    'validates what was not ordered': [
      { '/order': order, '/authz': { ...authz, identifier: { type: 'dns', value: 'b.example' } } },
      /b\.example, which was not ordered/,
    ],
    'offers other challenges only': [
      { '/order': order, '/authz': { ...authz, challenges: [{ ...challenge, type: 'http-01' }] } },
      /does not validate a\.example by tls-alpn-01, only by http-01/,
    ],
    'has a token that is none': [
      { '/order': order, '/authz': { ...authz, challenges: [{ ...challenge, token: 'a.b' }] } },
      /no valid token/,
    ],
    'refuses the name, with control characters': [
      {
        '/order': order,
        '/chall': {},
        '/authz': { ...authz, status: 'invalid', challenges: [{ ...challenge, status: 'invalid' }] },
      },
      /the validation of a\.example/,
    ],
    'is no directory': [{ '/dir': '<html>' }, /the directory: the answer is not JSON/],
  };
  for (const [what, [answers, message]] of Object.entries(faults)) {
    it(`and ${what} is told`, async () => {
      const fake = new FakeAuthority({ ...answers });
      await assert.rejects(fake.order(), (error) => error instanceof AcmeError && message.test(error.message));
      assert.ok(fake.asked.every(({ url }) => url.origin === 'https://ca.example'));
    });
  }

  it('or slow gives its certificate, also when the clock is set an hour ahead meanwhile', async () => {
    const now = Date.now;
    let looks = 0;
    const validates = () => {
      looks += 1;
      if (looks === 2) Date.now = () => now() + 3_600_000;
      return looks < 3 ? authz : { ...authz, status: 'valid' };
    };
    const states = ['ready', 'valid'];
    const authority = new FakeAuthority({
      '/order': order,
      '/mine': () => ({ ...order, status: states.shift(), certificate: 'https://ca.example/cert' }),
      '/authz': validates,
      '/chall': {},
      '/final': order,
      '/cert': 'the chain',
    });
    try {
      assert.equal(await authority.order(AbortSignal.timeout(20_000)), 'the chain');
    } finally {
      Date.now = now;
    }
  });

  it('and answers anything at all costs no more than an error', async () => {
    const near = fc.oneof(
      fc.constantFrom(order, authz, challenge, DIRECTORY),
      fc.json().map((text) => JSON.parse(text)),
      fc.string(),
    );
    const answers = fc.dictionary(fc.constantFrom('/dir', '/account', '/order', '/authz', '/chall', '/mine'), near);
    await fc.assert(
      fc.asyncProperty(answers, async (all) => {
        const fake = new FakeAuthority({ '/order': order, '/authz': authz, '/chall': {}, ...all });
        // What stays pending is waited for until the order is ended
        const known = (error: Error) => error instanceof AcmeError || /^(Abort|Timeout)Error$/.test(error.name);
        await assert.rejects(fake.order(AbortSignal.timeout(20)), known);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a certificate that an authority gave', () => {
  const day = 86_400_000;
  const made = (...names: string[]) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const now = Math.floor(Date.now() / 1_000) * 1_000;
    const [notBefore, notAfter] = [new Date(now - day / 2), new Date(now + day / 2)];
    return {
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      pem: pem('CERTIFICATE', selfSigned({ key: privateKey, names, notBefore, notAfter })),
    };
  };
  const [a, b] = [made('a.example', 'b.example'), made('a.example')];
  let pki: Pki;
  let authority: string;
  let authorityKey: string;

  before(async () => {
    pki = await Pki.make();
    pki.authority('ca');
    authority = await pki.pem('ca.pem');
    authorityKey = await pki.pem('ca.key');
  });

  after(() => pki.close());

  const fault = (key: string, chain: string, names = ['b.example', 'a.example'], now?: number) =>
    readIssued(key, chain, names, now);

  it('is taken when it fits', () => {
    const issued = fault(a.key, `\n${a.pem}\n`);
    assert.ok(typeof issued === 'object');
    assert.equal(issued.notAfter.getTime() - issued.notBefore.getTime(), day);
  });

  const faults: Record<string, [() => ReturnType<typeof fault>, RegExp]> = {
    'is of another key': [() => fault(b.key, a.pem), /not of its key/],
    'has fewer names': [() => fault(b.key, b.pem), /its names are a\.example/],
    'has more names': [() => fault(a.key, a.pem, ['a.example']), /its names are/],
    'has ended': [() => fault(a.key, a.pem, undefined, Date.now() + 3 * day), /it is valid from/],
    'has not begun': [() => fault(a.key, a.pem, undefined, Date.now() - day), /it is valid from/],
    'hangs from another authority': [() => fault(a.key, a.pem + authority), /1 of it is not signed/],
    'is an authority itself': [() => fault(authorityKey, authority, ['ca']), /one of an authority/],
    'is none': [() => fault(a.key, 'Not found'), /a chain of 0 certificates/],
    'is too long a chain': [() => fault(a.key, a.pem.repeat(11)), /a chain of 11/],
    'is garbage in PEM': [
      () => fault(a.key, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'),
      /no certificate/,
    ],
  };
  for (const [what, [read, reason]] of Object.entries(faults)) {
    it(`is not served when it ${what}`, () => {
      const result = read();
      assert.ok(typeof result === 'string');
      assert.match(result, reason);
    });
  }
});

describe('when a certificate is ordered', () => {
  const HOUR = 3_600_000;

  it('is after two thirds of its life, later by up to a twentieth', () => {
    const life = { notBefore: new Date(0), notAfter: new Date(90 * 24 * HOUR) };
    assert.equal(renewAt(life, 0), 60 * 24 * HOUR);
    assert.equal(renewAt(life, 1), 64.5 * 24 * HOUR);
  });

  it('is ever later after failures, and as late as the authority wants', () => {
    const no = new AcmeError('ACME_REFUSED', 'no');
    const pauses = (error: unknown) => [1, 2, 3, 4, 10, 1_000].map((count) => pauseAfter(count, error, 0) / 60_000);
    assert.deepEqual(pauses(no), [1, 4, 16, 64, 360, 360]);
    assert.deepEqual(pauses(new AcmeError('ACME_UNREACHABLE', 'no')), [1 / 6, 1 / 3, 2 / 3, 4 / 3, 10, 10]);
    const later = (hours: number) => new AcmeError('ACME_REFUSED', 'no', { retryAfterMs: hours * HOUR });
    assert.equal(pauseAfter(1, later(30), 0), 30 * HOUR);
    assert.equal(pauseAfter(1, later(10_000), 0), 7 * 24 * HOUR);
    assert.equal(pauseAfter(4, later(0), 0), 64 * 60_000);
    assert.equal(pauseAfter(1, no, 1), 72_000);
  });
});
