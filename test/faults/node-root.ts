import { execFileSync } from 'node:child_process';
import { cp, mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** Puts Node, its libraries and an app's files into the root of an enclave without a machine; gives the app's words, without arguments. */
export async function nodeRoot(root: string, ...files: readonly [string, ...string[]]): Promise<[string, string]> {
  const libraries = [...execFileSync('ldd', [process.execPath], { encoding: 'utf8' }).matchAll(/(\/\S+) \(/g)];
  await mkdir(join(root, 'usr/local/bin'), { recursive: true });
  await mkdir(join(root, 'app'));
  await cp(process.execPath, join(root, 'usr/local/bin/node'));
  execFileSync('cp', ['-L', '--parents', ...libraries.map(([, path = '']) => path), root]);
  for (const file of files) await cp(file, join(root, 'app', basename(file)));
  return ['/usr/local/bin/node', `/app/${basename(files[0])}`];
}
