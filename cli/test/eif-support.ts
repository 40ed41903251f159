import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const command = new URL('../bin/enclaver', import.meta.url).pathname;

export interface Ended {
  code: number;
  stdout: Buffer;
  stderr: string;
}

/** Runs `enclaver eif …` to its end. */
export async function eif(...args: string[]): Promise<Ended> {
  return await new Promise((resolve) => {
    const options = { encoding: 'buffer', maxBuffer: 64 << 20, timeout: 60_000 } as const;
    const child = execFile(command, ['eif', ...args], options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr: stderr.toString() }),
    );
  });
}

/** What a command that must end well wrote to stdout. */
export async function eifText(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await eif(...args);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return stdout.toString();
}

export interface Vector {
  name: string;
  eif_b64: string;
}

/** The cases of a vector file of `libs/eif`. */
export async function eifVectors<Case extends Vector>(file: 'eif-valid' | 'eif-invalid'): Promise<Case[]> {
  const url = new URL(`../../libs/eif/test/vectors/${file}.json`, import.meta.url);
  return JSON.parse(await readFile(url, 'utf8')).cases;
}

export interface Folder extends AsyncDisposable {
  path: string;
  file(name: string): string;
  /** Writes a vector and gives its path. */
  put(vector: Vector | undefined): Promise<string>;
}

export async function tempFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'eif-command-'));
  return {
    path,
    file: (name) => join(path, name),
    put: async (vector) => {
      if (vector === undefined) throw new Error('no such vector');
      await writeFile(join(path, `${vector.name}.eif`), Buffer.from(vector.eif_b64, 'base64'));
      return join(path, `${vector.name}.eif`);
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}
