import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { EifError } from './errors.ts';
import { THREAD_BLOCKS } from './limits.ts';

/** To the thread: bytes for the hash of that name, or without them a request for its digest. */
export interface HashRequest {
  name: string;
  bytes?: Uint8Array;
}

interface Job extends HashRequest {
  resolve: (digest: Uint8Array) => void;
  reject: (error: EifError) => void;
}

/**
 * SHA-384 of several byte strings, by name, on a thread of its own: two of these hash beside each other and beside what
 * reads and writes. Few blocks are hashed without a thread, which would take longer to start.
 */
export class HashThread implements AsyncDisposable {
  /** Not answered yet, in order. Bounded by the caller's blocks. */
  #jobs: Job[] = [];
  #worker: Worker | undefined;
  #failure: EifError | undefined;

  /** Resolves when the bytes may change; they must be shared memory. Throws EIF_HASH_THREAD. */
  async update(name: string, bytes: Uint8Array): Promise<void> {
    await this.#ask({ name, bytes });
  }

  /** Of all bytes given under that name. Throws EIF_HASH_THREAD. */
  async digest(name: string): Promise<Buffer> {
    if (this.#worker !== undefined || this.#failure !== undefined) return Buffer.from(await this.#ask({ name }));
    const hash = createHash('sha384');
    for (const job of this.#jobs) if (job.name === name && job.bytes !== undefined) hash.update(job.bytes);
    return hash.digest();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#jobs = [];
    await this.#worker?.terminate();
  }

  #ask(request: HashRequest): Promise<Uint8Array> {
    const answer = new Promise<Uint8Array>((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure);
      else this.#jobs.push({ ...request, resolve, reject });
    });
    // Whoever waits for a block hears of it, but some wait for none
    answer.catch(() => undefined);
    if (this.#worker !== undefined) this.#worker.postMessage(request);
    else if (this.#jobs.length >= THREAD_BLOCKS) this.#start();
    return answer;
  }

  #start(): void {
    this.#worker = new Worker(new URL('./hash-worker.ts', import.meta.url));
    this.#worker.on('message', (digest: Uint8Array) => this.#jobs.shift()?.resolve(digest));
    this.#worker.on('error', (cause) => this.#fail(`failed: ${cause instanceof Error ? cause.message : cause}`, cause));
    this.#worker.on('exit', (code) => this.#fail(`ended with ${code}`));
    for (const { name, bytes } of this.#jobs) this.#worker.postMessage({ name, bytes });
  }

  #fail(how: string, cause?: unknown): void {
    this.#failure ??= new EifError('EIF_HASH_THREAD', `the thread that measures the image ${how}`, { cause });
    for (const { reject } of this.#jobs.splice(0)) reject(this.#failure);
  }
}
