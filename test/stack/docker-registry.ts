import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';

/** Who may use a registry that asks: a name and a secret for tests only. */
export const REGISTRY_USER = { name: 'tester', secret: 'test-only-secret' };

/** bcrypt of that secret, which is the only form docker-registry reads. */
const HTPASSWD = `${REGISTRY_USER.name}:$2b$05$abcdefghijklmnopqrstuui18idADR.S1e9mXA2lMbG7f3ohw/vou\n`;

/** A real registry (package docker-registry) on loopback, gone with all it holds when its scope ends. */
export class DockerRegistry implements AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  private constructor(host: string, folder: string, process: ChildProcess) {
    this.host = host;
    this.#folder = folder;
    this.#process = process;
  }

  /** @param options.login ask for `REGISTRY_USER` */
  static async start(options: { login?: boolean } = {}): Promise<DockerRegistry> {
    const folder = await mkdtemp(join(tmpdir(), 'registry-'));
    const host = `127.0.0.1:${await freePort()}`;
    const lines = [
      'version: 0.1',
      'log: { level: error, accesslog: { disabled: true } }',
      `storage: { filesystem: { rootdirectory: ${join(folder, 'data')} }, delete: { enabled: true } }`,
      `http: { addr: "${host}" }`,
    ];
    if (options.login === true) {
      await writeFile(join(folder, 'htpasswd'), HTPASSWD);
      lines.push(`auth: { htpasswd: { realm: test, path: ${join(folder, 'htpasswd')} } }`);
    }
    await writeFile(join(folder, 'config.yml'), `${lines.join('\n')}\n`);
    const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
    const registry = new DockerRegistry(host, folder, child);
    await once(child, 'spawn');
    for (let answer: Response | undefined; answer === undefined; await sleep(20)) {
      if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
      answer = await fetch(`http://${host}/v2/`).catch(() => undefined);
    }
    return registry;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGKILL');
    if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, 'exit');
    await rm(this.#folder, { recursive: true });
  }
}
