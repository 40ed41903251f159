import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type EnclaveRecord } from '@enclaver/bus';
import { encodeControl } from '@enclaver/wire';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { record as sample } from '../../libs/bus/test/record.ts';
import { FakeParent, StatusReader, startOdyn } from '../../odyn/test/harness.ts';
import { freePort } from '../stack/free-port.ts';
import { Clients, sha256 } from './clients.ts';
import { Outside } from './outside.ts';
import { randomFrom } from './random.ts';
import { VsockDevice } from './vsock-device.ts';

/** FAULTS and FAULT_SEED: how many, and a run to repeat; `scripts/nightly` has 200 of them. */
const FAULTS = Number(process.env.FAULTS ?? 14);
const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 2 ** 31);
const CLIENTS = 4;
const BLOB = randomBytes(256 * 1024);
const LATEST_MS = 400;

/** What each fault may cost: requests that were under way in what was hit. */
const FAULT_KINDS = {
  'outer-proxy killed, one of two': CLIENTS,
  'outer-proxy stopped, one of two': 0,
  'outer-proxy frozen for half a second, one of two': 0,
  'log-relay killed': 0,
  'log-relay frozen for half a second': 0,
  'nats-server killed': 0,
  'vsock device killed': CLIENTS,
} as const;
type FaultKind = keyof typeof FAULT_KINDS;
const KINDS = Object.keys(FAULT_KINDS) as FaultKind[];

/** odyn, its app and everything outside but the supervisor, as they are but for the machine in between. */
describe('faults at random moments, under load', function () {
  this.timeout(60_000 + FAULTS * 10_000);

  let folder: string;
  let nats: NatsProcess;
  let bus: Bus;
  let parent: FakeParent;
  let device: VsockDevice;
  let status: StatusReader;
  let finished: Promise<void>;
  let clients: Clients;
  let proxies: [Outside, Outside];
  let relay: Outside;
  let enclave: EnclaveRecord;
  let followed = 0;
  const web = createServer((_request, response) => response.end(BLOB)).listen(0, '127.0.0.1');

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-faults-'));
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
    await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.credentials), { mode: 0o600 });
    const env = { ENCLAVER_BUS: join(folder, 'bus.json'), ENCLAVER_RUN_DIR: folder };
    proxies = [new Outside('outer-proxy', env), new Outside('outer-proxy', env)];
    relay = new Outside('log-relay', { ...env, ENCLAVER_LOG_SINKS: `file:${folder}/logs` });
    for (const one of [...proxies, relay]) await one.start();

    parent = await FakeParent.make();
    const host = join(folder, 'vsock');
    device = new VsockDevice({ host, guest: parent.path });
    await device.start();
    const [port, proxyPort] = [await freePort(), await freePort()];
    if (!web.listening) await once(web, 'listening');
    enclave = {
      ...sample,
      vsock: { type: 'unix', path: host },
      ingress: [{ listenPort: port, host: '127.0.0.1', port: 0 }],
    };
    const ready = tell('requested', { enclave });
    const from = await ready;
    const { finished: end } = await startOdyn(parent, {
      argv: ['/bin/sh', '/app.sh'],
      manifest: `ingress: [{ listen_port: ${port} }]\negress: { allow: [host], proxy_port: ${proxyPort} }\n`,
      files: { 'app.sh': appScript(port, proxyPort), 'www/blob': BLOB },
    });
    finished = end;
    status = await StatusReader.open(parent);
    await Promise.race([status.phase('ready'), status.final().then((last) => assert.fail(JSON.stringify(last)))]);
    enclave = { ...enclave, state: 'ready', ingress: from };
    await bus.enclaves.put(enclave);
    await bus.publishEvent(enclave.id, 'launching', { enclave });
    void follow();
    clients = new Clients(from[0]?.port ?? 0, BLOB, CLIENTS);
    await clients.answered(CLIENTS);
  });

  after(async () => {
    await clients?.stop();
    status?.socket.write(encodeControl({ command: 'stop', graceMs: 10_000 }));
    await finished;
    status?.socket.destroy();
    await parent?.close();
    for (const one of [...(proxies ?? []), relay]) await one?.end('SIGKILL');
    await device?.stop();
    await bus?.close();
    await nats?.[Symbol.asyncDispose]();
    web.close();
    await rm(folder, { recursive: true });
  });

  /** Writes a numbered line, then fetches from the parent's side, and says what it got, over and over. */
  const appScript = (port: number, proxyPort: number): string => `
# What is in the background reads from it, and this root has no devices
: >/dev/null
busybox httpd -f -p 127.0.0.1:${port} -h /www &
trap "busybox kill $!; exit" TERM
# nc does not end its side before the answer is whole, since this never ends
busybox mkfifo /tmp/requests
exec 3<>/tmp/requests
i=0
while :; do
  echo "line $i"
  printf 'GET http://host:${(web.address() as AddressInfo).port}/ HTTP/1.0\\r\\n\\r\\n' >&3
  busybox nc -w 20 127.0.0.1 ${proxyPort} <&3 >/tmp/got 2>/dev/null
  if [ "$(busybox wc -c </tmp/got)" -ge ${BLOB.length} ]; then
    echo "egress $(busybox tail -c ${BLOB.length} /tmp/got | busybox sha256sum | busybox head -c 64)" >&2
  else
    echo "egress failed" >&2
  fi
  i=$((i + 1))
done
`;

  async function tell(name: 'requested', data: { enclave: EnclaveRecord }) {
    const events = bus.events({ id: enclave.id });
    await events.ready;
    await bus.enclaves.put(data.enclave);
    await bus.publishEvent(enclave.id, name, data);
    for await (const event of events) {
      if (event.name === 'egress-ready') return event.data.ingress;
      assert.notEqual(event.name, 'proxy-failed', JSON.stringify(event.data));
    }
    throw new Error('the bus went away');
  }

  async function strike(kind: FaultKind, which: 0 | 1): Promise<void> {
    const proxy = proxies[which];
    switch (kind) {
      case 'outer-proxy killed, one of two':
        await proxy.end('SIGKILL');
        return await proxy.start();
      case 'outer-proxy stopped, one of two':
        await proxy.end('SIGTERM');
        return await proxy.start();
      case 'outer-proxy frozen for half a second, one of two':
        return await proxy.pauseFor(500);
      case 'log-relay killed':
        await relay.end('SIGKILL');
        return await relay.start();
      case 'log-relay frozen for half a second':
        return await relay.pauseFor(500);
      case 'nats-server killed':
        await nats.crash();
        return await nats.restart();
      case 'vsock device killed':
        await device.stop();
        return await device.start();
    }
  }

  /** Follows the log through all faults, as `enclaver logs -f` does. */
  async function follow(): Promise<void> {
    for await (const { lines } of bus.logs({ id: enclave.id, follow: true })) followed += lines.length;
  }

  /** More lines have come to the bus. */
  async function logged(): Promise<void> {
    const before = followed;
    while (followed === before) await sleep(10);
  }

  it(`lose no byte and no line: ${FAULTS} of them, seed ${SEED}`, async () => {
    const random = randomFrom(SEED);
    const costs = new Map<FaultKind, { times: number; failed: number; longestMs: number }>();
    for (let fault = 0; fault < FAULTS; fault++) {
      const kind = KINDS[fault < KINDS.length ? fault : Math.floor(random() * KINDS.length)] as FaultKind;
      await sleep(random() * LATEST_MS);
      const before = clients.failures.length;
      const begun = performance.now();
      await strike(kind, random() < 0.5 ? 0 : 1);
      await Promise.all([clients.answered(CLIENTS), logged()]);
      const failed = clients.failures.slice(before);
      const seen = JSON.stringify(failed);
      assert.ok(failed.length <= FAULT_KINDS[kind], `${kind} (fault ${fault}, seed ${SEED}): ${seen}`);
      assert.doesNotMatch(seen, /wrong bytes|no answer/, `${kind} (fault ${fault}, seed ${SEED})`);
      const cost = costs.get(kind) ?? { times: 0, failed: 0, longestMs: 0 };
      cost.times += 1;
      cost.failed += failed.length;
      cost.longestMs = Math.max(cost.longestMs, performance.now() - begun);
      costs.set(kind, cost);
    }
    await clients.stop();
    process.stdout.write(`\n${clients.requests} requests, ${clients.failures.length} of them failed\n`);
    for (const [kind, { times, failed, longestMs }] of costs)
      process.stdout.write(`| ${kind} | ${times} | ${failed} | ${Math.round(longestMs)} ms |\n`);

    const texts: Record<'stdout' | 'stderr', string[]> = { stdout: [], stderr: [] };
    for await (const { lines, lost } of bus.logs({ id: enclave.id, streams: ['stdout', 'stderr'] })) {
      assert.equal(lost, undefined);
      for (const { stream, text } of lines) texts[stream as 'stdout' | 'stderr'].push(text);
    }
    for (const [index, text] of texts.stdout.entries()) assert.equal(text, `line ${index}`);
    const wrong = texts.stderr.filter((text) => text !== `egress ${sha256(BLOB)}`);
    assert.ok(texts.stdout.length > FAULTS, `${texts.stdout.length} lines`);
    assert.deepEqual(
      [...new Set(wrong)].filter((text) => text !== 'egress failed'),
      [],
    );
    const mayFail = [...costs].filter(([kind]) => FAULT_KINDS[kind] > 0).reduce((sum, [, { times }]) => sum + times, 0);
    assert.ok(wrong.length <= mayFail, `${wrong.length} of ${texts.stderr.length} requests of the app failed`);
  });
});
