import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type EnclaveRecord } from '@enclaver/bus';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { record as sample } from '../../libs/bus/test/record.ts';
import { type AppSpec, FakeParent } from '../../odyn/test/harness.ts';
import { freePort } from '../stack/free-port.ts';
import { Enclave } from './enclave.ts';
import { Outside } from './outside.ts';
import { VsockDevice } from './vsock-device.ts';

export const frameProcesses = ['nats-server', 'outer-proxy', 'log-relay', 'odyn'] as const;
export type FrameProcess = (typeof frameProcesses)[number];

/** A program that starts a process, with its arguments. */
export type Prefix = (process: FrameProcess) => readonly string[];

/** Ports of loopback: what the app listens at, and where odyn's egress proxy is. */
export interface AppPorts {
  readonly port: number;
  readonly proxyPort: number;
}

export interface InsideOptions {
  /** With one port for ingress and the parent's host for egress; `root` is where its files will be. */
  readonly app: (ports: AppPorts, root: string) => Omit<AppSpec, 'manifest'> | Promise<Omit<AppSpec, 'manifest'>>;
  /** Where the outer-proxies listen. */
  readonly host?: string;
  /** Of the ingress port, beside its number. */
  readonly portManifest?: string;
  /** What the app may reach. */
  readonly allow?: string;
  /** A program, with its arguments, that starts odyn. */
  readonly prefix?: readonly string[];
}

export interface OutsideOptions {
  /** Outer-proxies beside one another. */
  readonly proxies: number;
  readonly prefix?: Prefix;
  /** Of nats-server. */
  readonly storeDir?: string;
  /** Where the outer-proxies find the bus, of where it is. */
  readonly busOfProxies?: (url: string) => Promise<string>;
  /** Of the services, beside what they need. */
  readonly env?: (service: string) => Readonly<Record<string, string>>;
}

/** odyn with its app, whose Unix sockets a stand-in for the vsock device joins with those outside. */
export interface Inside {
  readonly device: VsockDevice;
  readonly enclave: Enclave;
  readonly record: EnclaveRecord;
  /** Where clients find the app. */
  readonly port: number;
}

/** Enclaves, and everything outside but the supervisor, each as the process that it is; only the machines are missing. */
export class Frame implements AsyncDisposable {
  readonly parts = new AsyncDisposableStack();
  nats!: NatsProcess;
  bus!: Bus;
  proxies: readonly Outside[] = [];
  relay!: Outside;
  #folder = '';
  #prefix: Prefix = () => [];
  #enclaves = 0;

  /** Starts what is outside; to be disposed of, also when this fails. */
  async open({ proxies, prefix = () => [], storeDir, env = () => ({}), busOfProxies }: OutsideOptions): Promise<void> {
    const parts = this.parts;
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-frame-'));
    parts.defer(() => rm(folder, { recursive: true }));
    this.#folder = folder;
    this.#prefix = prefix;
    const store = storeDir === undefined ? {} : { storeDir };
    this.nats = parts.use(await NatsProcess.start(store, undefined, prefix('nats-server')));
    this.bus = parts.adopt(await Bus.connect({ source: 'test', credentials: this.nats.credentials }), (bus) =>
      bus.close(),
    );
    const { credentials } = this.nats;
    const url = (await busOfProxies?.(credentials.url)) ?? credentials.url;
    const files = { 'outer-proxy': { ...credentials, url }, 'log-relay': credentials };
    for (const [name, file] of Object.entries(files))
      await writeFile(join(folder, `${name}.json`), JSON.stringify(file), { mode: 0o600 });
    const service = (name: keyof typeof files): Outside => {
      const own = { ENCLAVER_BUS: join(folder, `${name}.json`), ENCLAVER_RUN_DIR: folder };
      return new Outside(name, { ...own, ...env(name) }, prefix(name));
    };
    this.proxies = Array.from({ length: proxies }, () => service('outer-proxy'));
    this.relay = service('log-relay');
    for (const one of [...this.proxies, this.relay]) await parts.adopt(one, () => one.end('SIGKILL')).start();
  }

  /** Starts an enclave. */
  async add({ app, prefix = this.#prefix('odyn'), ...more }: InsideOptions): Promise<Inside> {
    const { host: listen = '127.0.0.1', portManifest = '', allow = 'host' } = more;
    const { parts } = this;
    const number = this.#enclaves++;
    const parent = await FakeParent.make();
    const host = join(this.#folder, `vsock-${number}`);
    const device = parts.adopt(new VsockDevice({ host, guest: parent.path }), (one) => one.stop());
    await device.start();
    const [port, proxyPort] = [await freePort(), await freePort()];
    const requested: EnclaveRecord = {
      ...sample,
      id: `${sample.id.slice(0, -1)}${number}`,
      name: `${sample.name}-${number}`,
      vsock: { type: 'unix', path: host },
      ingress: [{ listenPort: port, host: listen, port: 0 }],
    };
    const ingress = await this.#request(requested);
    const spec = {
      ...(await app({ port, proxyPort }, join(parent.folder, 'rootfs'))),
      manifest: `ingress: [{ listen_port: ${port}${portManifest} }]\negress: { allow: ["${allow}"], proxy_port: ${proxyPort} }\n`,
    };
    const enclave = parts.use(await Enclave.start(parent, spec, prefix));
    const record: EnclaveRecord = { ...requested, state: 'ready', ingress };
    await this.bus.enclaves.put(record);
    await this.bus.publishEvent(record.id, 'launching', { enclave: record });
    return { device, enclave, record, port: ingress[0]?.port ?? 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.parts.disposeAsync();
  }

  /** Asks the outer-proxies for the listeners, and gives what they listen at. */
  async #request(record: EnclaveRecord): Promise<EnclaveRecord['ingress']> {
    const { id } = record;
    const events = this.bus.events({ id });
    await events.ready;
    await this.bus.enclaves.put(record);
    await this.bus.publishEvent(id, 'requested', { enclave: record });
    for await (const event of events) {
      if (event.name === 'egress-ready') return event.data.ingress;
      assert.notEqual(event.name, 'proxy-failed', JSON.stringify(event.data));
    }
    throw new Error('the bus went away');
  }
}
