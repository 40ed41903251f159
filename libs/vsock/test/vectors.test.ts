import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import {
  CID_ANY,
  CID_HOST,
  CID_LOCAL,
  CID_PARENT,
  connectLine,
  parseConnectLine,
  Relay,
  unixTransport,
  VsockError,
  vsockSockaddr,
} from '../src/index.ts';
import { Bench, bounds, readAll } from './support.ts';

interface Answer {
  receive?: string;
  receive_parts?: string[];
  closed?: boolean;
  verdict: 'connected' | 'refused';
  rest?: string;
}
interface Hybrid {
  host_to_guest: { send: string; answers: Answer[] }[];
  guest_to_host: { base_path: string; port: number; listen_on: string }[];
  server_lines: { line: string; port: number | null }[];
}
interface Sockaddr {
  family: number;
  cases: { cid: number; port: number; flags: number; hex: string }[];
  cids: { ANY: number; LOCAL: number; HOST: number; NITRO_PARENT: number };
}

const load = (name: string): unknown => JSON.parse(readFileSync(join(import.meta.dirname, 'vectors', name), 'utf8'));
const hybrid = load('hybrid.json') as Hybrid;
const addresses = load('sockaddr.json') as Sockaddr;

describe('vectors: sockaddr_vm', () => {
  for (const { cid, port, flags, hex } of addresses.cases) {
    it(`encodes CID ${cid} port ${port} flags ${flags}`, () => {
      const bytes = vsockSockaddr(cid, port, flags);
      assert.equal(bytes.toString('hex'), hex);
      assert.equal(bytes.readUInt16LE(0), addresses.family);
    });
  }

  it('names the well-known CIDs', () => {
    const { ANY, LOCAL, HOST, NITRO_PARENT } = addresses.cids;
    assert.deepEqual([CID_ANY, CID_LOCAL, CID_HOST, CID_PARENT], [ANY, LOCAL, HOST, NITRO_PARENT]);
  });

  it('refuses what is no CID or port', () => {
    for (const [cid, port] of [
      [-1, 1],
      [2 ** 32, 1],
      [3, -1],
      [3, 2 ** 32],
      [3.5, 1],
      [3, Number.NaN],
    ] as const)
      assert.throws(() => vsockSockaddr(cid, port), { name: 'VsockError', code: 'ADDRESS_INVALID' });
  });
});

describe('vectors: Unix-socket vsock', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });
  afterEach(async () => await bench.end());

  for (const { line, port } of hybrid.server_lines) {
    it(`reads ${JSON.stringify(line)} as ${port}`, () => assert.equal(parseConnectLine(line), port ?? undefined));
  }

  for (const { base_path, port, listen_on } of hybrid.guest_to_host) {
    it(`listens for port ${port} at ${listen_on}`, () => {
      const address = unixTransport({ path: base_path }).listenAddress(port);
      assert.deepEqual(address, { type: 'unix', path: listen_on, hybrid: true });
    });
  }

  for (const { send, answers } of hybrid.host_to_guest) {
    const port = parseConnectLine(send) as number;
    it(`asks for port ${port} with ${JSON.stringify(send)}`, () => assert.equal(connectLine(port), send));

    for (const answer of answers) {
      const parts = answer.receive_parts ?? [answer.receive ?? ''];
      const told = `${JSON.stringify(parts)}${answer.closed ? ' and a close' : ''}`;
      // Where the vector closes nothing and expects no rest, the device ends the stream so that the test can read it out.
      const serve = async (seen: string[]): Promise<string> => {
        const path = bench.path('device');
        await bench.serve(path, (socket) => {
          socket.once('data', async (data) => {
            seen.push(data.toString());
            for (const part of parts) {
              socket.write(part);
              await turn();
              await turn();
            }
            if (answer.closed) socket.destroySoon();
            else if (answer.verdict === 'connected') socket.end();
          });
        });
        return path;
      };

      it(`stream: ${told} is ${answer.verdict}`, async () => {
        const seen: string[] = [];
        const opened = unixTransport({ path: await serve(seen) }).connect(port);
        if (answer.verdict === 'refused') {
          await assert.rejects(opened, (error) => error instanceof VsockError && error.code === 'CONNECT_REFUSED');
        } else {
          const stream = await opened;
          assert.equal((await readAll(stream)).toString(), answer.rest ?? '');
          stream.destroy();
        }
        assert.deepEqual(seen, [send]);
      });

      it(`relay: ${told} is ${answer.verdict}`, async () => {
        const seen: string[] = [];
        const target = unixTransport({ path: await serve(seen) }).endpoint(port);
        const relay = new Relay();
        bench.later(() => relay.close());
        const route = await relay.listen({ type: 'unix', path: bench.path('in') }, target, bounds);
        const client = await bench.dial(bench.path('in'));
        assert.equal((await readAll(client)).toString(), answer.verdict === 'connected' ? (answer.rest ?? '') : '');
        assert.equal(route.stats().failedConnects, answer.verdict === 'refused' ? 1 : 0);
        assert.deepEqual(seen, [send]);
      });
    }
  }
});
