import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type LookupFunction, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dial } from '../src/dial.ts';
import { ParentPolicy } from '../src/parent-policy.ts';

describe("the parent's own egress policy", () => {
  let server: Server;
  let port: number;
  let work: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-policy-'));
    server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });

  after(async () => {
    server.close();
    await rm(work, { recursive: true });
  });

  /** Names lead to these addresses, whatever they are. */
  const leadsTo =
    (...addresses: string[]) =>
    (): LookupFunction =>
      ((_host, _options, callback) =>
        (callback as (error: null, found: object[]) => void)(
          null,
          addresses.map((address) => ({ address, family: 4 })),
        )) as LookupFunction;

  /** `reached`, or what the enclave is told. */
  const outcome = async (rules: object, host: string, lookup?: () => LookupFunction): Promise<string> => {
    const policy = new ParentPolicy(rules);
    const { signal } = new AbortController();
    const dialled = await dial({ host, port }, { signal, policy, lookup });
    if ('socket' in dialled) {
      dialled.socket.destroy();
      return 'reached';
    }
    const { error } = dialled;
    return typeof error === 'object' && 'Err' in error ? `${error.Err.os_code} ${error.Err.message}` : '';
  };

  it('refuses what is denied, and lets all else through, this machine too', async () => {
    assert.equal(await outcome({ deny: ['10.0.0.0/8'] }, '127.0.0.1'), 'reached');
    assert.equal(await outcome({ deny: ['10.0.0.0/8'] }, 'HOST'), 'reached');
    const refused = `13 the parent's egress policy refuses 127.0.0.1:${port}: deny 127.0.0.0/8`;
    assert.equal(await outcome({ deny: ['127.0.0.0/8'] }, '127.0.0.1'), refused);
    assert.match(await outcome({ deny: ['host'] }, 'host'), /^13 .*deny host$/);
  });

  it('with allow lets nothing else through', async () => {
    assert.equal(await outcome({ allow: ['127.0.0.1'] }, '127.0.0.1'), 'reached');
    assert.match(await outcome({ allow: ['**.example.com'] }, '127.0.0.1'), /^13 .*no allow rule$/);
  });

  it('dials no address of a name that is denied, and another one where there is', async () => {
    const rules = { deny: ['192.0.2.0/24'] };
    assert.match(await outcome(rules, 'a.example.com', leadsTo('192.0.2.1')), /^13 .*deny 192\.0\.2\.0\/24$/);
    assert.equal(await outcome(rules, 'a.example.com', leadsTo('192.0.2.1', '127.0.0.1')), 'reached');
  });

  it('says what is wrong with its file', async () => {
    const file = join(work, 'policy.json');
    for (const [text, reason] of [
      ['{', /JSON/],
      ['{"allowed": []}', /allowed/],
      ['{"deny": ["a b"]}', /white space/],
    ] as const) {
      await writeFile(file, text);
      await assert.rejects(ParentPolicy.read(file), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'EGRESS_POLICY_INVALID');
        assert.match(error.message, reason);
        return true;
      });
    }
    await assert.rejects(ParentPolicy.read(join(work, 'none')), { code: 'EGRESS_POLICY_INVALID' });
  });
});
