import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Network } from '../stack/network.ts';
import { BusTunnel } from './bus-tunnel.ts';
import { Clients, sha256 } from './clients.ts';
import { type AppPorts, Frame, type Inside, type Prefix } from './frame.ts';
import type { Outside } from './outside.ts';
import { SlowDisk } from './slow-disk.ts';

export const CLIENTS = 4;
/** Without a byte for so long, a connection is cut; only where there is a network that can be. */
export const IDLE_MS = 5_000;
const BLOB = randomBytes(256 * 1024);

/**
 * odyn, its app and everything outside but the supervisor, under load: clients fetch, the app fetches and writes lines. The bus
 * and the log files have a disk each.
 */
export class LoadedStack extends Frame {
  declare proxies: readonly [Outside, Outside];
  inside!: Inside;
  #followed = 0;
  disks!: { readonly bus: SlowDisk; readonly logs: SlowDisk };
  clients!: Clients;

  /** With a network the outer-proxies run on its hub, the clients on `client`, and what the app reaches on `server`. */
  static async start({ prefix, network }: { prefix?: Prefix; network?: Network } = {}): Promise<LoadedStack> {
    const stack = new LoadedStack();
    try {
      await stack.#start(prefix, network);
    } catch (error) {
      await stack[Symbol.asyncDispose]();
      throw error;
    }
    return stack;
  }

  async #start(prefix: Prefix | undefined, network: Network | undefined): Promise<void> {
    const { parts } = this;
    this.disks = { bus: parts.use(await SlowDisk.make()), logs: parts.use(await SlowDisk.make()) };
    const web = await this.#serve(network);
    await this.open({
      proxies: 2,
      prefix: (name) => [...(name === 'outer-proxy' ? (network?.prefix('hub') ?? []) : []), ...(prefix?.(name) ?? [])],
      storeDir: this.disks.bus.path,
      env: () => ({ ENCLAVER_LOG_SINKS: `file:${this.disks.logs.path}/logs` }),
      ...(network && { busOfProxies: async (url) => parts.use(await BusTunnel.dig(network, url)).url }),
    });
    this.inside = await this.add({
      app: (ports) => ({
        argv: ['/bin/sh', '/app.sh'],
        files: { 'app.sh': appScript({ ...ports, url: `http://${web.host}:${web.port}/` }), 'www/blob': BLOB },
      }),
      ...(network && {
        host: network.hubAddress,
        allow: web.host,
        portManifest: `, idle_timeout_seconds: ${IDLE_MS / 1000}`,
      }),
    });
    void this.#follow();
    const to = {
      host: network?.hubAddress ?? '127.0.0.1',
      port: this.inside.port,
      prefix: network?.prefix('client') ?? [],
    };
    this.clients = parts.adopt(new Clients({ ...to, expected: BLOB, count: CLIENTS }), (clients) => clients.stop());
    await this.healthy();
  }

  /** What the app fetches from, by the name that it has inside. */
  async #serve(network: Network | undefined): Promise<{ host: string; port: number }> {
    if (network !== undefined) {
      await writeFile(join(this.disks.logs.path, 'index.html'), BLOB);
      network.start('server', ['busybox', 'httpd', '-f', '-p', '80', '-h', this.disks.logs.path]);
      return { host: network.addressOf('server'), port: 80 };
    }
    const web = createServer((_request, response) => response.end(BLOB)).listen(0, '127.0.0.1');
    this.parts.defer(() => void web.close());
    await once(web, 'listening');
    return { host: 'host', port: (web.address() as AddressInfo).port };
  }

  /** Follows the log through all faults, as `enclaver logs -f` does. */
  async #follow(): Promise<void> {
    for await (const { lines } of this.bus.logs({ id: this.inside.record.id, follow: true }))
      this.#followed += lines.length;
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
    for await (const { lines, lost } of this.bus.logs({ id: this.inside.record.id, streams: ['stdout', 'stderr'] })) {
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
    const text = await readFile(join(this.disks.logs.path, 'logs', `${this.inside.record.name}.log`), 'utf8');
    const entries: { stream: string; text: string }[] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    return new Set(entries.filter(({ stream }) => stream === 'stdout').map((entry) => entry.text));
  }
}

/** Writes a numbered line, then fetches from the parent's side, and says what it got, over and over. */
const appScript = ({ port, proxyPort, url }: AppPorts & { url: string }): string => `
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
  printf 'GET ${url} HTTP/1.0\\r\\n\\r\\n' >&3
  busybox nc -w 20 127.0.0.1 ${proxyPort} <&3 >/tmp/got 2>/dev/null
  if [ "$(busybox wc -c </tmp/got)" -ge ${BLOB.length} ]; then
    echo "egress $(busybox tail -c ${BLOB.length} /tmp/got | busybox sha256sum | busybox head -c 64)" >&2
  else
    echo "egress failed" >&2
  fi
  i=$((i + 1))
done
`;
