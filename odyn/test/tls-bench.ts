import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { Nsm } from '@enclaver/attestation/nsm';
import { encodeControl, STATUS_PORT } from '@enclaver/wire';
import { freePort } from '../../test/stack/free-port.ts';
import { FakeParent, readLog, StatusReader, startOdyn } from './harness.ts';

/** Keys and certificates made by the real openssl. */
export class Pki {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Pki> {
    return new Pki(await mkdtemp(join(tmpdir(), 'odyn-pki-')));
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true });
  }

  pem(name: string): Promise<string> {
    return readFile(join(this.folder, name), 'utf8');
  }

  authority(name: string): void {
    this.#request(name, `/CN=${name}`);
  }

  /** `NAME.pem` for the host names, and `NAME.key`. */
  certificate(name: string, issuer: string, ...hosts: readonly string[]): void {
    const names = `subjectAltName=${hosts.map((host) => `DNS:${host}`).join(',')}`;
    this.#request(name, `/CN=${hosts[0]}`, '-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`, '-addext', names);
  }

  #request(name: string, subject: string, ...more: readonly string[]): void {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
    const args = ['req', '-x509', ...key, '-out', `${name}.pem`, '-days', '2', '-subj', subject, ...more];
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

/** One odyn with one port of TLS, and an app behind it that gives back what it gets. */
export class TlsBench {
  readonly parent: FakeParent;
  readonly port: number;
  /** In the app's root. */
  readonly files: Record<string, string | Buffer> = {};
  nsm: Nsm | undefined;
  readonly #relays: Server[] = [];
  #running: Promise<Awaited<ReturnType<typeof readLog>>> | undefined;

  private constructor(parent: FakeParent, port: number) {
    this.parent = parent;
    this.port = port;
  }

  static async make(): Promise<TlsBench> {
    const parent = await FakeParent.make();
    await parent.listen();
    return new TlsBench(parent, await freePort());
  }

  async close(): Promise<void> {
    for (const relay of this.#relays) relay.close();
    if (this.#running !== undefined) await this.stop();
    await this.parent.close();
  }

  /** Its log to the end. */
  async stop(): Promise<Awaited<ReturnType<typeof readLog>>> {
    assert.ok(this.#running);
    const running = this.#running;
    this.#running = undefined;
    (await this.parent.dial(STATUS_PORT)).write(encodeControl({ command: 'stop', graceMs: 0 }));
    return await running;
  }

  /** Resolves when the enclave is ready; `tls` is the inside of the port's section. */
  async start(tls: string): Promise<void> {
    const argv = ['/bin/nc', '-ll', '-p', String(this.port), '-e', '/bin/cat'];
    const [finished] = await this.#start(argv, tls);
    this.#running = Promise.all([readLog(this.parent), finished]).then(([log]) => log);
    const status = await StatusReader.open(this.parent);
    await status.phase('ready');
  }

  /** The text with which an enclave ends that cannot be started, and its log. */
  async fatal(tls: string): Promise<{ error: string; log: Awaited<ReturnType<typeof readLog>> }> {
    const [finished] = await this.#start(['/bin/true'], tls);
    const status = await StatusReader.open(this.parent);
    const [final, log] = await Promise.all([status.final(), readLog(this.parent), finished]);
    assert.ok(final.status === 'fatal');
    return { error: final.error, log };
  }

  /** A TCP port that leads to the enclave's, for clients that speak no vsock. */
  async tcp(): Promise<number> {
    const relay = createServer(async (socket) => {
      socket.on('error', () => socket.destroy());
      const inside = await this.parent.dial(this.port);
      socket.pipe(inside).pipe(socket);
    }).listen(0, '127.0.0.1');
    this.#relays.push(relay);
    await once(relay, 'listening');
    return (relay.address() as AddressInfo).port;
  }

  async client(options: ConnectionOptions): Promise<TLSSocket> {
    const socket: Socket = await this.parent.dial(this.port);
    const secure = connectTls({ socket, ...options });
    await once(secure, 'secureConnect');
    return secure;
  }

  async #start(argv: string[], tls: string): Promise<Promise<void>[]> {
    const manifest = `ingress:\n  - listen_port: ${this.port}\n    tls: { ${tls} }\n`;
    const { nsm } = this;
    const spec = { argv, manifest, files: this.files };
    const { finished } = await startOdyn(this.parent, spec, nsm === undefined ? {} : { nsm });
    // In a list, or it would be awaited here
    return [finished];
  }
}

/** No end is sent before all is back: across this kind of vsock the end of one direction is that of both. */
export async function echo(secure: TLSSocket, sent: Buffer): Promise<void> {
  const back: Buffer[] = [];
  let missing = sent.length;
  const whole = new Promise<void>((resolve, reject) => {
    secure.once('close', () => reject(new Error(`${missing} bytes did not come back`)));
    secure.on('data', (piece: Buffer) => {
      back.push(piece);
      missing -= piece.length;
      if (missing <= 0) resolve();
    });
  });
  secure.write(sent);
  await whole;
  assert.ok(Buffer.concat(back).equals(sent));
  secure.end();
  await once(secure, 'close');
}
