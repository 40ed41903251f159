import assert from 'node:assert/strict';
import { TrustedProxies } from '../src/http/trusted-proxies.ts';
import { curl, HttpHarness } from './http-harness.ts';

const VERSIONS = ['--http1.1', '--http2-prior-knowledge'];

describe('HTTP mode behind load balancers', () => {
  let harness: HttpHarness;

  afterEach(async () => {
    await harness[Symbol.asyncDispose]();
  });

  /** Which of `X-Forwarded-*` the app gets, by the last part of their names. */
  const says = async (version: string, trusted: TrustedProxies, headers: string[]): Promise<Record<string, string>> => {
    harness = await HttpHarness.start({}, trusted);
    const { published } = await harness.publish('a');
    harness.serve('a', (incoming, response) => response.end(JSON.stringify(incoming.rawHeaders)));
    const args = headers.flatMap((header) => ['-H', header]);
    const answer = await curl(version, ...args, `http://127.0.0.1:${published.port}/`);
    const raw: string[] = JSON.parse(answer.slice(answer.indexOf('[')));
    const found: Record<string, string> = {};
    for (let i = 0; i < raw.length; i += 2) {
      const name = /^x-forwarded-(.*)$/i.exec(raw[i] ?? '')?.[1]?.toLowerCase();
      if (name === undefined) continue;
      assert.ok(!(name in found), `${name} is there twice`);
      found[name] = raw[i + 1] ?? '';
    }
    if (found.port === String(published.port)) found.port = 'own';
    return found;
  };

  const behind = new TrustedProxies(['127.0.0.1', '10.0.0.0/8', '2001:db8::/32']);
  const https = ['X-Forwarded-Proto: https', 'X-Forwarded-Port: 443'];

  for (const [name, given, address] of [
    ['takes the client of a load balancer', '192.0.2.1', '192.0.2.1'],
    ['takes it of the last of several in a row', '192.0.2.1, 10.1.2.3', '192.0.2.1'],
    ['does not take what the client says before it', '6.6.6.6, 192.0.2.1', '192.0.2.1'],
    ['stops at what is no address', 'unknown, 10.1.2.3', '10.1.2.3'],
    ['reads an address with a port', '192.0.2.1:40000', '192.0.2.1'],
    ['reads an IPv6 address with a port', '[2001:db9::1]:40000', '2001:db9::1'],
  ] as const) {
    it(name, async () => {
      for (const version of VERSIONS) {
        const found = await says(version, behind, [`X-Forwarded-For: ${given}`, ...https]);
        assert.deepEqual(found, { for: address, proto: 'https', port: '443', host: found.host });
        if (version !== VERSIONS.at(-1)) await harness[Symbol.asyncDispose]();
      }
    });
  }

  it('takes no scheme and no port that is none, and nothing of one that is not listed', async () => {
    const odd = ['X-Forwarded-For: 192.0.2.1', 'X-Forwarded-Proto: javascript', 'X-Forwarded-Port: 4x', 'Forwarded: x'];
    const { host: _host, ...found } = await says('--http1.1', behind, odd);
    assert.deepEqual(found, { for: '192.0.2.1', proto: 'http', port: 'own' });
    await harness[Symbol.asyncDispose]();
    const others = new TrustedProxies(['10.0.0.0/8']);
    const { host: _other, ...own } = await says('--http1.1', others, ['X-Forwarded-For: 192.0.2.1', ...https]);
    assert.deepEqual(own, { for: '127.0.0.1', proto: 'http', port: 'own' });
  });

  it('refuses a range that is none', async () => {
    harness = await HttpHarness.start();
    assert.throws(() => new TrustedProxies(['10.0.0.0/8', 'alb.example.com']), /alb\.example\.com/);
  });
});
