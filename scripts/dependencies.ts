// npm run dependencies: what is held of the packages that come from npm. Says each fault on a line and ends with 1.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** What may be shipped beside Apache-2.0, or used to make and test it. */
const LICENCES = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT OR Apache-2.0',
  'PSF-2.0',
  'Unlicense',
];

/** Packages with an install script, which is not run (`ignore-scripts`): they do without what it would make. */
const WITH_SCRIPTS = ['cbor-extract', 'cpu-features', 'esbuild', 'protobufjs', 'ssh2'];

interface Locked {
  version?: string;
  resolved?: string;
  integrity?: string;
  license?: string;
  link?: boolean;
  hasInstallScript?: boolean;
}

interface Description {
  license?: string;
  /** The form of long ago. */
  licenses?: { type: string }[];
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

const folder = resolve(process.argv[2] ?? join(import.meta.dirname, '..'));
const text = (path: string): string => readFileSync(join(folder, path), 'utf8');
const json = <T>(path: string): T => JSON.parse(text(path)) as T;

/** Of a package whose entry in the lockfile says none: what its own description says, where it is installed. */
function licenceOf(path: string, { license }: Locked): string | undefined {
  if (license !== undefined) return license;
  const own = join(path, 'package.json');
  if (!existsSync(join(folder, own))) return undefined;
  const description = json<Description>(own);
  return description.license ?? description.licenses?.map(({ type }) => type).join(' OR ');
}

const faults: string[] = [];
const settings = text('.npmrc').split('\n');
for (const needed of ['ignore-scripts=true', 'save-exact=true', 'omit-lockfile-registry-resolved=true'])
  if (!settings.includes(needed)) faults.push(`.npmrc: ${needed} is missing`);

const { packages } = json<{ packages: Record<string, Locked> }>('package-lock.json');
const foreign = Object.entries(packages).filter(([path, { link }]) => path.includes('node_modules/') && link !== true);
for (const [path, locked] of foreign) {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const licence = licenceOf(path, locked);
  if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(locked.integrity ?? '')) faults.push(`${path}: no SHA-512 in the lockfile`);
  if (locked.resolved !== undefined) faults.push(`${path}: the lockfile has an address for it`);
  if (!LICENCES.includes(licence ?? '')) faults.push(`${path}: its licence is ${licence ?? 'not known'}`);
  if (locked.hasInstallScript && !WITH_SCRIPTS.includes(name)) faults.push(`${path}: has an install script`);
}

const documented = text('docs/dependencies.md');
for (const path of globSync(
  ['package.json', '{libs,services,tools}/*/package.json', '{odyn,cli,test,bench}/package.json'],
  { cwd: folder },
)) {
  const { dependencies, devDependencies, optionalDependencies } = json<Description>(path);
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
    if (name.startsWith('@enclaver/')) continue;
    if (!/^\d+(\.\d+){0,2}$/.test(version) || (version.split('.').length < 3 && !name.startsWith('@types/')))
      faults.push(`${path}: ${name} is not pinned: ${version}`);
    if (!isDocumented(name)) faults.push(`docs/dependencies.md: nothing of ${name}`);
  }
}

/** By its name, or by that without the scope, where a line has several of one. */
function isDocumented(name: string): boolean {
  return (
    name.startsWith('@types/') || [name, name.replace(/^@[^/]+\//, '')].some((each) => documented.includes(`\`${each}`))
  );
}

for (const fault of faults) console.error(fault);
if (faults.length === 0) console.log(`${foreign.length} packages: hashes, licences, no install scripts`);
process.exitCode = faults.length === 0 ? 0 : 1;
