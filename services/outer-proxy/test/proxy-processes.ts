import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type EnclaveEvent, type EnclaveRecord, type PublishedPort } from '@enclaver/bus';
import { EGRESS_PORT, EgressReplyDecoder, encodeEgress } from '@enclaver/wire';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { record as sample } from '../../../libs/bus/test/record.ts';
import { FakeGuest } from '../../../libs/vsock/test/fake-guest.ts';
import { ProxyProcess } from './proxy-process.ts';

/** The enclave that is there. */
export const ENCLAVE = 'e-00000000000a';

/** Outer-proxies as processes of their own, at a real bus, with an enclave of which only the app's port is there. */
export class ProxyProcesses implements AsyncDisposable {
  readonly folder: string;
  readonly bus: Bus;
  readonly guest: FakeGuest;
  readonly #nats: NatsProcess;
  readonly #proxies: ProxyProcess[] = [];

  private constructor(folder: string, nats: NatsProcess, bus: Bus, guest: FakeGuest) {
    this.folder = folder;
    this.#nats = nats;
    this.bus = bus;
    this.guest = guest;
  }

  /** No outer-proxy runs yet. */
  static async make(): Promise<ProxyProcesses> {
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-proxies-'));
    const nats = await NatsProcess.start();
    await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.credentials));
    const bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
    return new ProxyProcesses(folder, nats, bus, await FakeGuest.start(join(folder, 'vsock')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.end('SIGKILL')));
    await this.guest[Symbol.asyncDispose]();
    await this.bus.close();
    await this.#nats[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true });
  }

  /** One more of them. `wrapper`: a command that runs it. */
  async start(env: Record<string, string> = {}, wrapper: string[] = []): Promise<ProxyProcess> {
    const own = {
      ENCLAVER_BUS: join(this.folder, 'bus.json'),
      ENCLAVER_RUN_DIR: this.folder,
      ENCLAVER_DRAIN_SECONDS: '5',
    };
    const proxy = new ProxyProcess({ ...own, ...env }, wrapper);
    this.#proxies.push(proxy);
    await proxy.says('service started');
    return proxy;
  }

  record(ingress: PublishedPort[], more: Partial<EnclaveRecord> = {}): EnclaveRecord {
    const vsock = { type: 'unix', path: join(this.folder, 'vsock') } as const;
    return { ...sample, id: ENCLAVE, name: 'test', vsock, ingress, ...more };
  }

  /** What an enclave's event is answered with by an outer-proxy. */
  async tell(enclave: EnclaveRecord, name: 'requested' | 'handover', more: object = {}): Promise<EnclaveEvent> {
    const events = this.bus.events({ id: enclave.id });
    await events.ready;
    await this.bus.enclaves.put(enclave);
    await this.bus.publishEvent(enclave.id, name, (name === 'requested' ? { enclave } : more) as never);
    for await (const event of events) if (event.name !== name) return event;
    throw new Error('the bus went away');
  }

  /** Publishes the app's port of the enclave, which is ready then. */
  async publish(published: Partial<PublishedPort> = {}): Promise<PublishedPort> {
    const asked = { listenPort: 8080, host: '127.0.0.1', port: 0, ...published };
    const event = await this.tell(this.record([asked]), 'requested');
    assert.equal(event.name, 'egress-ready', JSON.stringify(event.data));
    const ingress = (event as Extract<EnclaveEvent, { name: 'egress-ready' }>).data.ingress;
    await this.bus.enclaves.put(this.record(ingress, { state: 'ready' }));
    await this.bus.publishEvent(ENCLAVE, 'ready', { ingress });
    return ingress[0] as PublishedPort;
  }

  /** What a server of this host says to the enclave, by egress. */
  async askOut(port: number): Promise<string> {
    const socket = connect(join(this.folder, `vsock_${EGRESS_PORT}`));
    socket.write(encodeEgress({ host: '127.0.0.1', port }));
    const decoder = new EgressReplyDecoder();
    let text = '';
    let begun = false;
    for await (const chunk of socket) {
      if (begun) text += chunk;
      const reply: ReturnType<typeof decoder.push> = begun ? undefined : decoder.push(chunk);
      if (reply === undefined) continue;
      begun = true;
      assert.equal(reply.message, 'Ok');
      text += reply.rest;
    }
    return text;
  }
}
