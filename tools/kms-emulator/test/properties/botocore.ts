import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Credentials, SignedRequest } from '../../src/sigv4.ts';

const SCRIPT = fileURLToPath(new URL('./botocore-sign.py', import.meta.url));
const headers = z.record(z.string(), z.string());

/** AWS's own signer for Python, in a process that signs one request after the other. */
export class Botocore {
  // Debian's, whatever other Python comes first on the path
  readonly #python: ChildProcessByStdio<Writable, Readable, null> = spawn('/usr/bin/python3', [SCRIPT], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  readonly #lines = createInterface({ input: this.#python.stdout })[Symbol.asyncIterator]();

  async sign(request: SignedRequest, credentials: Credentials, region: string): Promise<SignedRequest> {
    const body = Buffer.from(request.body).toString('base64');
    this.#python.stdin.write(`${JSON.stringify({ ...request, body, ...credentials, region })}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('botocore has ended');
    return { ...request, headers: headers.parse(JSON.parse(value)) };
  }

  close(): void {
    this.#python.stdin.end();
  }
}
