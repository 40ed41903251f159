/**
 * Makes a copy of the checkout lean, for release images: removes the runtimes that go into enclaves (theirs is in the EIF)
 * and every package that neither the command nor a service needs. Run in the copy: `node scripts/lean.ts`.
 */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const KEPT = [
  'cli',
  'services/builder',
  'services/supervisor',
  'services/outer-proxy',
  'services/log-relay',
  'services/webhooks',
];

interface Package {
  link?: boolean;
  resolved?: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { packages: Record<string, Package> };

/** Where Node finds `name` from the folder of a package: in its own node_modules, else in those above. */
function locate(from: string, name: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder) === '.' ? '' : dirname(folder)) {
    const path = join(folder, 'node_modules', name);
    if (lock.packages[path] !== undefined) return path;
    if (folder === '') return undefined;
  }
}

const needed = new Set<string>();
function need(path: string): void {
  const found = lock.packages[path];
  if (found === undefined || needed.has(path)) return;
  needed.add(path);
  // A workspace stands in node_modules as a link to its folder
  if (found.link === true && found.resolved !== undefined) need(found.resolved);
  for (const name of Object.keys({ ...found.dependencies, ...found.optionalDependencies })) {
    const place = locate(path, name);
    if (place !== undefined) need(place);
  }
}
// The root's own dependency is Node itself
for (const path of ['', ...KEPT]) need(path);

for (const [path, { link }] of Object.entries(lock.packages)) {
  if (path.startsWith('node_modules/') && link !== true && !needed.has(path) && !holdsNeeded(path)) {
    rmSync(join(root, path), { recursive: true, force: true });
  }
}
for (const folder of ['dist/runtime', 'dist/native', 'odyn', 'bench', 'tools'])
  rmSync(join(root, folder), { recursive: true, force: true });
process.stdout.write(`${Math.round(bytesOf(root) / 1024 ** 2)} MiB\n`);

function holdsNeeded(path: string): boolean {
  return [...needed].some((other) => other.startsWith(`${path}/`));
}

function bytesOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
