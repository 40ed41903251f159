import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import type { WorkDir } from '../work-dir.ts';
import { credentialsFor, TOKEN_USER } from './credentials.ts';

export interface SkopeoOptions {
  work: WorkDir;
  signal?: AbortSignal;
  /** A line of what it does. */
  onLine?: (line: string) => void;
}

/** What skopeo gave on stdout, or the words of its error. */
export type SkopeoResult = { output: Buffer; problem?: undefined } | { output?: undefined; problem: string };

/** The longest that a command may take. */
const LONGEST = { inspect: limits.inspectMs, copy: limits.copyMs };

/**
 * Runs a command of skopeo with the docker client's credentials for `host`, within its time. Of its output, the first 4 MiB are
 * kept. Throws SKOPEO_MISSING, CREDENTIALS_INVALID, and the signal's reason.
 */
export async function skopeo(
  command: 'copy' | 'inspect',
  host: string,
  args: readonly string[],
  options: SkopeoOptions,
): Promise<SkopeoResult> {
  const { work, signal, onLine } = options;
  const authFile = await writeAuthFile(host, work);
  // A helper was asked meanwhile: a signal that was aborted then says nothing any more
  signal?.throwIfAborted();
  const child = spawn('skopeo', [command, '--authfile', authFile, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = (): boolean => child.kill('SIGTERM');
  signal?.addEventListener('abort', stop, { once: true });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stop();
  }, LONGEST[command]);
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    words = (words + chunk).slice(-limits.toolTextChars);
  });
  const pieces: Buffer[] = [];
  let kept = 0;
  child.stdout.on('data', (piece: Buffer) => {
    if (kept < limits.manifestBytes) pieces.push(piece);
    kept += piece.length;
  });
  if (onLine !== undefined) createInterface({ input: child.stdout }).on('line', onLine);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', (cause) => reject(missing(cause)));
      child.once('close', resolve);
    });
    signal?.throwIfAborted();
    if (late) return { problem: `skopeo did not end within ${LONGEST[command] / 1000} s` };
    return code === 0 ? { output: Buffer.concat(pieces) } : { problem: messageOf(words) };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

/** As docker does: plain HTTP and unknown certificates only on this machine itself. */
export function tlsFlag(direction: 'src-' | 'dest-' | '', host: string): string {
  const local = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?$/.test(host);
  return `--${direction}tls-verify=${local ? 'false' : 'true'}`;
}

/** The registry of a reference: its first component where that has a dot or a port, else Docker's hub. */
export function registryOf(reference: string): string {
  const [first = '', ...rest] = reference.split('/');
  return rest.length > 0 && /[.:]|^localhost$/.test(first) ? first : 'docker.io';
}

/** The docker client's credentials for one registry, as skopeo reads them. A file and no argument: arguments are seen by every process of the machine. */
export async function writeAuthFile(host: string, work: WorkDir): Promise<string> {
  const credentials = await credentialsFor(host);
  const entry =
    credentials?.username === TOKEN_USER
      ? { auth: encode(TOKEN_USER, ''), identitytoken: credentials.secret }
      : { auth: encode(credentials?.username ?? '', credentials?.secret ?? '') };
  const path = join(work.path, 'auth.json');
  const auths = credentials === undefined ? {} : { [host]: entry };
  await writeFile(path, JSON.stringify({ auths }), { mode: 0o600 });
  return path;
}

function encode(username: string, secret: string): string {
  return Buffer.from(`${username}:${secret}`, 'utf8').toString('base64');
}

/** Its log line is `time="…" level=fatal msg="…"`. */
function messageOf(words: string): string {
  const quoted = /level=fatal msg=("(?:[^"\\]|\\.)*")/.exec(words)?.[1];
  if (quoted === undefined) return words.trim() || 'skopeo failed without a word';
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted;
  }
}

function missing(cause: Error): BuilderError {
  return new BuilderError('SKOPEO_MISSING', `cannot start skopeo, which reaches registries: ${cause.message}`, {
    remedy: 'apt-get install skopeo, or run scripts/setup; images of the engine and of files need none',
    cause,
  });
}
