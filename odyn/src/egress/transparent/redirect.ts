import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:net';
import { getSystemErrorMap } from 'node:util';
import { OdynError } from '../../odyn-error.ts';

/** The program that has the kernel bring connections to our listener (`odyn/init/redirect.c`), as long as it runs. */
export class Redirect {
  readonly #child: ChildProcess;
  #closing = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.once('exit', (code, signal) => {
      // Without it every connection would hang. A fault of ours, which ends odyn and with it the enclave
      if (!this.#closing) throw new OdynError('REDIRECT_FAILED', `redirect has ended (${signal ?? code})`);
    });
  }

  /** `listener` takes IPv4 and IPv6. @throws OdynError REDIRECT_FAILED */
  static async start(path: string, listener: Server): Promise<Redirect> {
    const child = spawn(path, [], { env: {}, stdio: ['pipe', 'pipe', 'inherit', descriptorOf(listener)] });
    if (child.pid === undefined || child.stdout === null) {
      const [error] = (await once(child, 'error')) as [Error];
      throw new OdynError('REDIRECT_FAILED', `cannot run ${path}: ${error.message}`, { cause: error });
    }
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const [, errno, step] = /^(\d+) (.+)\n$/.exec(line.toString()) ?? [];
    if (errno === undefined) return new Redirect(child);
    const words = getSystemErrorMap().get(-Number(errno))?.[1] ?? `error ${errno}`;
    throw new OdynError('REDIRECT_FAILED', `the kernel does not redirect connections: ${words} (${step})`);
  }

  async close(): Promise<void> {
    this.#closing = true;
    const ended = once(this.#child, 'exit');
    this.#child.kill();
    await ended;
  }
}

/** Not a public interface of Node, so it is checked before use. */
function descriptorOf(listener: Server): number {
  const { _handle: handle } = listener as { _handle?: { fd?: unknown } };
  if (typeof handle?.fd === 'number' && handle.fd >= 0) return handle.fd;
  throw new OdynError('REDIRECT_FAILED', 'this Node gives no descriptor for a listener');
}
