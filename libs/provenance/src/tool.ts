import { spawn } from 'node:child_process';
import { limits } from './limits.ts';
import { ProvenanceError, type ProvenanceErrorCode } from './provenance-error.ts';

export interface ToolOptions {
  /** Code of the error when the program is not installed. */
  missing: ProvenanceErrorCode;
  /** Most bytes on stdout; default as `limits` says. */
  maxBytes?: number;
  signal?: AbortSignal;
}

export interface ToolResult {
  /** Null when it was ended by a signal: it took too long, or said too much. */
  code: number | null;
  stdout: Buffer;
  /** The end of stderr. */
  words: string;
}

/** Runs a program without a shell and without stdin, within bounds. Throws `missing`, and the signal's reason. */
export async function runTool(
  program: string,
  args: readonly string[],
  { missing, maxBytes = limits.toolBytes, signal }: ToolOptions,
): Promise<ToolResult> {
  signal?.throwIfAborted();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = (): boolean => child.kill('SIGTERM');
  signal?.addEventListener('abort', stop, { once: true });
  // Node's own `timeout` goes on, and holds the process, when there is no such program
  const timer = setTimeout(stop, limits.toolMs);
  const pieces: Buffer[] = [];
  let size = 0;
  let words = '';
  child.stdout.on('data', (piece: Buffer) => {
    size += piece.length;
    if (size > maxBytes) child.kill('SIGKILL');
    else pieces.push(piece);
  });
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    words = (words + piece).slice(-limits.toolTextChars);
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', (cause) => {
        reject(new ProvenanceError(missing, `cannot start ${program}: ${cause.message}`, { cause }));
      });
      child.once('close', resolve);
    });
    signal?.throwIfAborted();
    if (size > maxBytes) words += `\n${program} gave more than ${maxBytes} bytes`;
    else if (code === null) words += `\n${program} did not end within ${limits.toolMs / 1000} s`;
    return { code, stdout: Buffer.concat(pieces), words };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}
