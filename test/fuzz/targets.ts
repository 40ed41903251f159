import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';

export interface TargetFile {
  readonly name: string;
  readonly language: 'typescript' | 'c';
  readonly path: string;
}

const filesOf = (folder: string, language: TargetFile['language'], extension: string): TargetFile[] =>
  readdirSync(join(import.meta.dirname, folder))
    .filter((file) => extname(file) === extension)
    .sort()
    .map((file) => ({ name: basename(file, extension), language, path: join(import.meta.dirname, folder, file) }));

/** One file each. */
export const targets: readonly TargetFile[] = [
  ...filesOf('targets', 'typescript', '.ts'),
  ...filesOf('native', 'c', '.c'),
];

const corpusFile = (name: string): string => join(import.meta.dirname, 'corpus', `${name}.txt`);

/** Inputs that once reached something new, kept in the repository: one in base64 on each line. */
export function readCorpus(name: string): Buffer[] {
  if (!existsSync(corpusFile(name))) return [];
  const lines = readFileSync(corpusFile(name), 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'));
}

export function writeCorpus(name: string, inputs: readonly Buffer[]): void {
  writeFileSync(corpusFile(name), inputs.map((input) => `${input.toString('base64')}\n`).join(''));
}
