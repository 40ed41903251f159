import { lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { limits } from '../limits.ts';
import { OdynError } from '../odyn-error.ts';

/**
 * Path of a file of the app's root as the app itself would find it: symbolic links, absolute ones too, stay below
 * `root`. For a root that nobody is changing, as before the app is started.
 * @returns undefined when there is no such file
 * @throws OdynError FILE_UNREADABLE when links go round in circles
 */
export function findInRoot(root: string, path: string): string | undefined {
  const todo = path.split('/').reverse();
  const done: string[] = [];
  let links = 0;
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      done.pop();
      continue;
    }
    const here = join(root, ...done, name);
    const stat = lstatSync(here, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    if (!stat.isSymbolicLink()) {
      done.push(name);
      continue;
    }
    if (++links > limits.symlinks) throw new OdynError('FILE_UNREADABLE', `/${path}: too many symbolic links`);
    const target = readlinkSync(here);
    if (target.startsWith('/')) done.length = 0;
    todo.push(...target.split('/').reverse());
  }
  return join(root, ...done);
}
