import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { encodeControl } from '@enclaver/wire';
import { type AppSpec, type FakeParent, StatusReader } from '../../odyn/test/harness.ts';

/** odyn and its app, as they are but for the machine around them. */
export class Enclave implements AsyncDisposable {
  readonly parent: FakeParent;
  readonly status: StatusReader;
  readonly #process: ChildProcess;

  private constructor(parent: FakeParent, child: ChildProcess, status: StatusReader) {
    this.parent = parent;
    this.#process = child;
    this.status = status;
  }

  /** Resolves when it is ready. `prefix`: a program, with its arguments, that starts it. */
  static async start(parent: FakeParent, spec: AppSpec, prefix: readonly string[] = []): Promise<Enclave> {
    const script = join(import.meta.dirname, 'odyn-process.ts');
    const [program = '', ...args] = [...prefix, process.execPath, script, parent.folder];
    const child = spawn(program, args, { stdio: ['pipe', 'inherit', 'inherit'] });
    const files = Object.entries(spec.files ?? {}).map(([path, file]) => [path, Buffer.from(file).toString('base64')]);
    child.stdin.end(JSON.stringify({ ...spec, files: Object.fromEntries(files) }));
    const status = await StatusReader.open(parent);
    await Promise.race([status.phase('ready'), status.final().then((last) => assert.fail(JSON.stringify(last)))]);
    return new Enclave(parent, child, status);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, 'exit');
      this.status.socket.write(encodeControl({ command: 'stop', graceMs: 10_000 }));
      await ended;
    }
    this.status.socket.destroy();
    await this.parent.close();
  }
}
