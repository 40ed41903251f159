import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../test/stack/free-port.ts';

export interface PebbleOptions {
  /** Life of its certificates in seconds. */
  lifeSeconds?: number;
  /** Percentage of valid nonces that it refuses. */
  rejectNonces?: number;
  externalAccounts?: boolean;
  /** Takes every name for validated. */
  alwaysValid?: boolean;
  /** TCP port of loopback at which it validates; taken from the system by default. */
  validationPort?: number;
}

/**
 * Let's Encrypt's own test server (Debian's `pebble`), with the DNS server that comes with it: every name leads to 127.0.0.1,
 * where names are validated at `validationPort` in place of 443.
 */
export class Pebble implements AsyncDisposable {
  readonly validationPort: number;
  readonly port: number;
  /** Certificate that its HTTPS is trusted by, PEM. */
  readonly ca: string;
  readonly #managementPort: number;
  readonly #folder: string;
  readonly #processes: ChildProcess[];
  readonly #output: string[];

  private constructor(
    ports: { port: number; validationPort: number; management: number },
    ca: string,
    folder: string,
    processes: ChildProcess[],
  ) {
    this.port = ports.port;
    this.validationPort = ports.validationPort;
    this.#managementPort = ports.management;
    this.ca = ca;
    this.#folder = folder;
    this.#processes = processes;
    this.#output = [];
    for (const child of processes) {
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => this.#output.push(String(text)));
    }
  }

  static async start(options: PebbleOptions = {}): Promise<Pebble> {
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-pebble-'));
    const [key, cert, config] = ['key.pem', 'cert.pem', 'config.json'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert];
    const names = ['-subj', '/CN=acme.example', '-addext', 'subjectAltName=DNS:acme.example,DNS:host,DNS:localhost'];
    execFileSync('openssl', ['req', '-x509', '-days', '2', ...made, ...names], { stdio: 'ignore' });
    const ports = {
      port: await freePort(),
      validationPort: options.validationPort ?? (await freePort()),
      management: await freePort(),
    };
    const dns = await freePort();
    const pebble = {
      listenAddress: `127.0.0.1:${ports.port}`,
      managementListenAddress: `127.0.0.1:${ports.management}`,
      certificate: cert,
      privateKey: key,
      httpPort: await freePort(),
      tlsPort: ports.validationPort,
      ocspResponderURL: '',
      externalAccountBindingRequired: options.externalAccounts ?? false,
      ...(options.externalAccounts === true
        ? { externalAccountMACKeys: { 'kid-1': 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' } }
        : {}),
      ...(options.lifeSeconds === undefined ? {} : { certificateValidityPeriod: options.lifeSeconds }),
    };
    await writeFile(config, JSON.stringify({ pebble }));
    const off = ['-http01', '', '-https01', '', '-tlsalpn01', ''];
    const dnsArgs = [
      ...off,
      '-dns01',
      `127.0.0.1:${dns}`,
      '-management',
      `127.0.0.1:${await freePort()}`,
      '-defaultIPv6',
      '',
    ];
    const env = {
      ...process.env,
      PEBBLE_VA_NOSLEEP: '1',
      ...(options.alwaysValid === true ? { PEBBLE_VA_ALWAYS_VALID: '1' } : {}),
      PEBBLE_AUTHZREUSE: '0',
      PEBBLE_WFE_NONCEREJECT: String(options.rejectNonces ?? 5),
    };
    const processes = [
      spawn('pebble-challtestsrv', dnsArgs, { stdio: ['ignore', 'pipe', 'pipe'] }),
      spawn('pebble', ['-config', config, '-dnsserver', `127.0.0.1:${dns}`, '-strict'], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env,
      }),
    ];
    const started = new Pebble(ports, await readFile(cert, 'utf8'), folder, processes);
    await started.#ready();
    return started;
  }

  /** Orders that it has taken. */
  get orders(): number {
    return this.#output.join('').split('Added order').length - 1;
  }

  /** Root that its certificates hang from, PEM. */
  async root(): Promise<string> {
    return (await this.#management('/roots/0')).body;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(this.#folder, { recursive: true });
  }

  async #ready(): Promise<void> {
    for (let left = 200; ; left--) {
      try {
        await this.#management('/roots/0');
        return;
      } catch (error) {
        if (left === 0 || this.#processes.some(({ exitCode }) => exitCode !== null)) {
          throw new Error(`pebble did not start: ${this.#output.join('')}`, { cause: error });
        }
        await sleep(25);
      }
    }
  }

  async #management(path: string): Promise<{ body: string }> {
    const agent = new Agent({ ca: this.ca, keepAlive: false, servername: 'acme.example' });
    const sent = request({ host: '127.0.0.1', port: this.#managementPort, path, agent }).end();
    const [response] = await once(sent, 'response');
    let body = '';
    for await (const part of response) body += String(part);
    return { body };
  }
}
