import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type EnclaveRecord } from '@enclaver/bus';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { record as sample } from '../../libs/bus/test/record.ts';
import { FakeParent } from '../../odyn/test/harness.ts';
import { freePort } from '../stack/free-port.ts';
import { Clients, sha256 } from './clients.ts';
import { Enclave } from './enclave.ts';
import { Outside } from './outside.ts';
import { SlowDisk } from './slow-disk.ts';
import { VsockDevice } from './vsock-device.ts';

export const CLIENTS = 4;
const BLOB = randomBytes(256 * 1024);

export const stackProcesses = ['nats-server', 'outer-proxy', 'log-relay', 'odyn'] as const;
export type StackProcess = (typeof stackProcesses)[number];

/** A program that starts a process, with its arguments. */
export type Prefix = (process: StackProcess) => readonly string[];

/**
 * odyn, its app and everything outside but the supervisor, under load: clients fetch, the app fetches and writes lines. The bus
 * and the log files have a disk each.
 */
export class LoadedStack implements AsyncDisposable {
  readonly #parts = new AsyncDisposableStack();
  readonly #folder: string;
  #followed = 0;
  disks!: { readonly bus: SlowDisk; readonly logs: SlowDisk };
  nats!: NatsProcess;
  bus!: Bus;
  proxies!: readonly [Outside, Outside];
  relay!: Outside;
  device!: VsockDevice;
  enclave!: Enclave;
  clients!: Clients;
  record!: EnclaveRecord;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start(prefix: Prefix = () => []): Promise<LoadedStack> {
    const stack = new LoadedStack(await mkdtemp(join(tmpdir(), 'enclaver-faults-')));
    try {
      await stack.#start(prefix);
    } catch (error) {
      await stack[Symbol.asyncDispose]();
      throw error;
    }
    return stack;
  }

  async #start(prefix: Prefix): Promise<void> {
    const parts = this.#parts;
    const folder = this.#folder;
    parts.defer(() => rm(folder, { recursive: true }));
    this.disks = { bus: parts.use(await SlowDisk.make()), logs: parts.use(await SlowDisk.make()) };
    this.nats = parts.use(await NatsProcess.start({ storeDir: this.disks.bus.path }, undefined, prefix('nats-server')));
    this.bus = parts.adopt(await Bus.connect({ source: 'test', credentials: this.nats.credentials }), (bus) =>
      bus.close(),
    );
    await writeFile(join(folder, 'bus.json'), JSON.stringify(this.nats.credentials), { mode: 0o600 });
    const env = { ENCLAVER_BUS: join(folder, 'bus.json'), ENCLAVER_RUN_DIR: folder };
    const logs = { ENCLAVER_LOG_SINKS: `file:${this.disks.logs.path}/logs` };
    this.proxies = [
      new Outside('outer-proxy', env, prefix('outer-proxy')),
      new Outside('outer-proxy', env, prefix('outer-proxy')),
    ];
    this.relay = new Outside('log-relay', { ...env, ...logs }, prefix('log-relay'));
    for (const one of [...this.proxies, this.relay]) await parts.adopt(one, () => one.end('SIGKILL')).start();

    const parent = await FakeParent.make();
    const host = join(folder, 'vsock');
    this.device = parts.adopt(new VsockDevice({ host, guest: parent.path }), (device) => device.stop());
    await this.device.start();
    const [port, proxyPort] = [await freePort(), await freePort()];
    const web = createServer((_request, response) => response.end(BLOB)).listen(0, '127.0.0.1');
    parts.defer(() => void web.close());
    await once(web, 'listening');
    this.record = {
      ...sample,
      vsock: { type: 'unix', path: host },
      ingress: [{ listenPort: port, host: '127.0.0.1', port: 0 }],
    };
    const ingress = await this.#request();
    const webPort = (web.address() as AddressInfo).port;
    const spec = {
      argv: ['/bin/sh', '/app.sh'],
      manifest: `ingress: [{ listen_port: ${port} }]\negress: { allow: [host], proxy_port: ${proxyPort} }\n`,
      files: { 'app.sh': appScript({ port, proxyPort, webPort }), 'www/blob': BLOB },
    };
    this.enclave = parts.use(await Enclave.start(parent, spec, prefix('odyn')));
    this.record = { ...this.record, state: 'ready', ingress };
    await this.bus.enclaves.put(this.record);
    await this.bus.publishEvent(this.record.id, 'launching', { enclave: this.record });
    void this.#follow();
    this.clients = parts.adopt(new Clients(ingress[0]?.port ?? 0, BLOB, CLIENTS), (clients) => clients.stop());
    await this.healthy();
  }

  /** Asks the outer-proxies for the listeners, and gives what they listen at. */
  async #request(): Promise<EnclaveRecord['ingress']> {
    const { id } = this.record;
    const events = this.bus.events({ id });
    await events.ready;
    await this.bus.enclaves.put(this.record);
    await this.bus.publishEvent(id, 'requested', { enclave: this.record });
    for await (const event of events) {
      if (event.name === 'egress-ready') return event.data.ingress;
      assert.notEqual(event.name, 'proxy-failed', JSON.stringify(event.data));
    }
    throw new Error('the bus went away');
  }

  /** Follows the log through all faults, as `enclaver logs -f` does. */
  async #follow(): Promise<void> {
    for await (const { lines } of this.bus.logs({ id: this.record.id, follow: true })) this.#followed += lines.length;
  }

  /** Resolves when clients have their answers, and new lines have come to the bus. */
  async healthy(): Promise<void> {
    const before = this.#followed;
    await this.clients.answered(CLIENTS);
    while (this.#followed === before) await sleep(10);
  }

  /**
   * Ends the load, and looks at all lines: each is on the bus once, in order, and in the files of the log-relay, and tells that the
   * app's requests got the right bytes. Gives how many of them failed.
   */
  async settle(): Promise<{ readonly lines: number; readonly egressFailed: number }> {
    await this.clients.stop();
    const texts: Record<'stdout' | 'stderr', string[]> = { stdout: [], stderr: [] };
    for await (const { lines, lost } of this.bus.logs({ id: this.record.id, streams: ['stdout', 'stderr'] })) {
      assert.equal(lost, undefined);
      for (const { stream, text } of lines) texts[stream as 'stdout' | 'stderr'].push(text);
    }
    for (const [index, text] of texts.stdout.entries()) assert.equal(text, `line ${index}`);
    while ((await this.#sunk()).size < texts.stdout.length) await sleep(50);
    const wrong = texts.stderr.filter((text) => text !== `egress ${sha256(BLOB)}`);
    assert.deepEqual(
      [...new Set(wrong)].filter((text) => text !== 'egress failed'),
      [],
    );
    return { lines: texts.stdout.length, egressFailed: wrong.length };
  }

  /** The app's numbered lines in the files; some are there twice when the log-relay was killed. */
  async #sunk(): Promise<Set<string>> {
    const text = await readFile(join(this.disks.logs.path, 'logs', `${this.record.name}.log`), 'utf8');
    const entries: { stream: string; text: string }[] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    return new Set(entries.filter(({ stream }) => stream === 'stdout').map((entry) => entry.text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

/** Writes a numbered line, then fetches from the parent's side, and says what it got, over and over. */
const appScript = ({ port, proxyPort, webPort }: { port: number; proxyPort: number; webPort: number }): string => `
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
  printf 'GET http://host:${webPort}/ HTTP/1.0\\r\\n\\r\\n' >&3
  busybox nc -w 20 127.0.0.1 ${proxyPort} <&3 >/tmp/got 2>/dev/null
  if [ "$(busybox wc -c </tmp/got)" -ge ${BLOB.length} ]; then
    echo "egress $(busybox tail -c ${BLOB.length} /tmp/got | busybox sha256sum | busybox head -c 64)" >&2
  else
    echo "egress failed" >&2
  fi
  i=$((i + 1))
done
`;
