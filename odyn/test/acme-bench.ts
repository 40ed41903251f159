import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { encodeControl, STATUS_PORT } from '@enclaver/wire';
import { freePort } from '../../test/stack/free-port.ts';
import { AcmeKeeper } from '../src/acme/keeper.ts';
import { OwnDialer } from '../src/egress/own-dialer.ts';
import { OwnHttp } from '../src/egress/own-http.ts';
import { TlsPort } from '../src/ingress/tls-port.ts';
import type { Kms } from '../src/kms/kms.ts';
import { limits } from '../src/limits.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import { SealedValue } from '../src/store/sealed-value.ts';
import { authorOf, FakeKeys, FakeStore } from './fake-store.ts';
import { FakeParent } from './harness.ts';
import { attestedPolicy, KmsWorld } from './kms-harness.ts';
import { Pebble, type PebbleOptions } from './pebble.ts';

export const DOMAINS = ['enclave.example', 'www.enclave.example'];

/** odyn's log, and its lines as they come. */
export class Lines {
  readonly log: OdynLog;
  #text = '';
  #came = Promise.withResolvers<void>();

  constructor() {
    const ring = new LogRing(1 << 20);
    const append = ring.append.bind(ring);
    ring.append = (stream, bytes, ...rest) => {
      this.#text += bytes.toString();
      this.#came.resolve();
      this.#came = Promise.withResolvers();
      append(stream, bytes, ...rest);
    };
    this.log = new OdynLog(ring);
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#text)) await this.#came.promise;
  }
}

/** An authority, KMS, a store and any number of replicas of one image; validators come to one after the other. */
export class AcmeBench implements AsyncDisposable {
  readonly pebble: Pebble;
  readonly world: KmsWorld;
  readonly store = new FakeStore();
  /** Stands for KMS where only the store is of interest. */
  readonly keys = new FakeKeys();
  readonly author = authorOf('a');
  /** Of the app, and of the enclave's port. */
  readonly port: number;
  readonly kmsKey: string;
  readonly #entry: Server;
  readonly #parents: FakeParent[] = [];
  readonly #closers: (() => Promise<unknown>)[] = [];
  #kms: Promise<Kms> | undefined;
  #turn = 0;

  private constructor(pebble: Pebble, world: KmsWorld, port: number) {
    this.pebble = pebble;
    this.world = world;
    this.port = port;
    this.kmsKey = world.emulator.keys.createSymmetric({ policy: attestedPolicy() }).arn;
    world.routes.set(`acme.example:${pebble.port}`, pebble.port);
    this.#entry = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      const parent = this.#parents[this.#turn++ % Math.max(1, this.#parents.length)];
      if (parent === undefined) socket.destroy();
      else void parent.dial(this.port).then((inside) => socket.pipe(inside).pipe(socket));
    });
  }

  static async start(options: PebbleOptions = {}): Promise<AcmeBench> {
    const pebble = await Pebble.start(options);
    const bench = new AcmeBench(pebble, await KmsWorld.start(), await freePort());
    bench.#entry.listen(pebble.validationPort, '127.0.0.1');
    await once(bench.#entry, 'listening');
    return bench;
  }

  get directory(): string {
    return `https://acme.example:${this.pebble.port}/dir`;
  }

  /** The inside of the port's section `tls`. */
  get section(): string {
    return (
      `certificates: [{ acme: { domains: [${DOMAINS.join(', ')}], terms_of_service_agreed: true, contact: [a@enclave.example], ` +
      `directory: "${this.directory}", ca_file: /etc/acme-ca.pem, kms_key: "${this.kmsKey}" } }]`
    );
  }

  get manifestText(): string {
    return `${this.world.manifestText}ingress: [{ listen_port: ${this.port}, tls: { ${this.section} } }]\n`;
  }

  /** A parent of its own, with the same store and the same ways out. */
  async parent(): Promise<FakeParent> {
    const parent = await FakeParent.make();
    await parent.listen();
    parent.answer = (request) => this.world.parent.answer(request);
    this.store.serve(parent);
    this.#closers.push(() => parent.close());
    this.#parents.push(parent);
    return parent;
  }

  /** Asks an enclave to end. */
  async stop(parent: FakeParent): Promise<void> {
    (await parent.dial(STATUS_PORT)).write(encodeControl({ command: 'stop', graceMs: 0 }));
  }

  /** The connections that come in lead here no more. */
  takeAway(parent: FakeParent): void {
    this.#parents.splice(this.#parents.indexOf(parent), 1);
  }

  /** A port with TLS as an enclave of this image opens it, without the app; resolves once it has a certificate. */
  async replica(): Promise<{ parent: FakeParent; opened: Promise<TlsPort> }> {
    const parent = await this.parent();
    const root = join(parent.folder, 'rootfs');
    await mkdir(join(root, 'etc'), { recursive: true });
    await writeFile(join(root, 'etc/acme-ca.pem'), this.pebble.ca);
    const manifest = this.world.manifest(this.manifestText);
    const { log } = new Lines();
    const { transport } = parent;
    // One for all: the proxy of the app listens on the same loopback
    this.#kms ??= this.world.openKms();
    const { client: kms } = await this.#kms;
    const entry = manifest.ingress[0] ?? assert.fail('no port');
    const tls = entry.tls ?? assert.fail('no TLS');
    const opened = TlsPort.open(
      transport,
      entry,
      tls,
      {
        port: this.port,
        root,
        manifest,
        transport,
        kms,
        nsm: this.world.nsm,
        log,
      },
      limits.tlsConnections,
    );
    this.#closers.unshift(() => opened.then((port) => port.close()));
    return { parent, opened };
  }

  /** A keeper by itself, whose certificate is shown to nobody. */
  async keeper({ firstMs = 20_000, domains = DOMAINS } = {}): Promise<{ keeper: AcmeKeeper; lines: Lines }> {
    const parent = await this.parent();
    this.takeAway(parent);
    const lines = new Lines();
    const { transport } = parent;
    const value = (name: string): SealedValue => new SealedValue(transport, this.keys, this.author, name);
    const http = new OwnHttp(new OwnDialer(transport, [`acme.example:${this.pebble.port}`]), { ca: this.pebble.ca });
    const { directory } = this;
    const [account, state] = [value('account'), value('state')];
    const keeper = new AcmeKeeper({
      domains,
      directory,
      contact: [],
      http,
      account,
      state,
      log: lines.log,
      pace: { firstMs, watchMs: 50, shareMs: 50 },
    });
    this.#closers.unshift(async () => keeper.close());
    return { keeper, lines };
  }

  async client(parent: FakeParent, options: ConnectionOptions = {}): Promise<TLSSocket> {
    const ca = await this.pebble.root();
    const secure = connectTls({
      socket: await parent.dial(this.port),
      ca,
      servername: DOMAINS[0] as string,
      ...options,
    });
    await once(secure, 'secureConnect');
    return secure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers) await close();
    this.#entry.close();
    await this.world[Symbol.asyncDispose]();
    await this.pebble[Symbol.asyncDispose]();
  }
}
