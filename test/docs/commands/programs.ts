import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { parse } from 'yaml';
import { soakOptions } from '../../soak/options.ts';
import { refusalOfEnclaver } from './enclaver.ts';
import { natsCall } from './nats.ts';
import type { Call } from './shell.ts';

const root = resolve(import.meta.dirname, '../../..');
const run = promisify(execFile);

/** Throws where a command cannot be meant so. */
type Check = (args: readonly string[]) => void | Promise<void>;

/** Everyday programs, of which a reader sees what they do. */
const everyday =
  'base64 cat chmod cp cut curl head install ip jq ls mkdir openssl printf rm sed ssh stat tar tee test true'.split(
    ' ',
  );
const builtins = ['cd', 'echo', 'export', 'kill'];

/** What is run elsewhere, and where that is: nothing here can say more of it. */
const elsewhere: Readonly<Record<string, string>> = {
  aws: 'a client of AWS',
  dnf: 'Amazon Linux, in hardware-checklist.md',
  'nitro-cli': 'a parent with Nitro Enclaves; tools/nitro-cli has its arguments',
  tsc: 'node_modules',
  usermod: 'Amazon Linux, in hardware-checklist.md',
};

/** Programs that parse a command to its end before they print its help, and do nothing else then. */
const parsedByItself =
  (program: string): Check =>
  async (args) => {
    // What stands behind the image of `docker run` is not for Docker
    const { stdout } = await run(
      program,
      args[0] === 'run' ? ['run', '--help', ...args.slice(1)] : [...args, '--help'],
    );
    // That of the program as a whole: there is no such command
    if (!/Usage:\s+(cosign|docker|kubectl)( compose)? [a-z]/.test(stdout))
      throw new Error(`${program} has no such command`);
  };

const composeServices = Object.keys(
  parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true }).services,
);
const COMPOSE_OF_SERVICES = ['build', 'logs', 'restart', 'rm', 'start', 'stop', 'up'];

const docker: Check = async (args) => {
  await parsedByItself('docker')(args);
  if (args[0] !== 'compose') return;
  const { positionals } = parseArgs({
    args: args.slice(1),
    // Those with a value: each other word that begins with a dash is a flag
    options: Object.fromEntries(
      ['file', 'profile', 'scale'].map((name) => [
        name,
        { type: 'string', ...(name === 'file' ? { short: 'f' } : {}) },
      ]),
    ) as { file: { type: 'string' } },
    strict: false,
    allowPositionals: true,
  });
  const [verb = '', ...names] = positionals;
  if (names.length > 0 && !COMPOSE_OF_SERVICES.includes(verb)) throw new Error(`services of ${verb}?`);
  const unknown = names.filter((name) => !composeServices.includes(name));
  if (unknown.length > 0) throw new Error(`no such service: ${unknown}`);
};

const units = globSync('*.{service,target}', { cwd: join(root, 'deploy/systemd') });
const FOREIGN_UNITS = ['docker.service', 'nitro-enclaves-allocator.service'];
const SYSTEMCTL = {
  'daemon-reload': [],
  edit: [],
  enable: ['now'],
  'is-active': [],
  restart: [],
  start: [],
  status: [],
  stop: [],
} as const;

const systemctl: Check = (args) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { now: { type: 'boolean' } },
    allowPositionals: true,
  });
  const [verb = '', ...names] = positionals;
  const allowed: readonly string[] | undefined = Object.entries(SYSTEMCTL).find(([each]) => each === verb)?.[1];
  if (allowed === undefined) throw new Error(`systemctl ${verb}?`);
  for (const option of Object.keys(values))
    if (!allowed.includes(option)) throw new Error(`systemctl ${verb} --${option}?`);
  for (const name of names) {
    const full = /\.(service|target)$/.test(name) ? name : `${name}.service`;
    const template = full.replace(/@.+\./, '@.');
    if (![...units, ...FOREIGN_UNITS].includes(template)) throw new Error(`no such unit: ${full}`);
  }
};

const kubectl: Check = async (args) => {
  await parsedByItself('kubectl')(args);
  const [verb, ...rest] = args;
  const folder = verb === 'kustomize' ? rest[0] : verb === 'apply' && rest[0] === '-k' ? rest[1] : undefined;
  if (folder !== undefined && !existsSync(join(root, folder, 'kustomization.yaml')))
    throw new Error(`no such folder: ${folder}`);
  if (verb !== 'set') return;
  const containers = readFileSync(join(root, 'deploy/kubernetes/node/deployment.yaml'), 'utf8');
  for (const setting of rest.slice(2)) {
    const [name, image] = setting.split('=');
    if (!containers.includes(`- name: ${name}\n`) || !image?.includes(`/${name}:`))
      throw new Error(`no such container: ${setting}`);
  }
};

const node: Check = ([first = '']) => {
  if (!first.startsWith('-') && !existsSync(join(root, first))) throw new Error(`no such file: ${first}`);
};

const npm: Check = ([verb = '', script = '']) => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const name = verb === 'run' ? script : verb;
  if (!['ci', 'pack'].includes(verb) && !Object.hasOwn(scripts, name)) throw new Error(`no such script: ${name}`);
};

const natsServer: Check = (args) => {
  const { values } = parseArgs({ args: [...args], options: { c: { type: 'string', short: 'c' } } });
  if (values.c === undefined) throw new Error('which configuration?');
};

/** Of scripts of our own: what their help lists. */
const script =
  (path: string, words: string): Check =>
  (args) => {
    if (!existsSync(join(root, path))) throw new Error(`no such script: ${path}`);
    const known = readFileSync(join(root, path), 'utf8');
    for (const arg of args.flatMap((each) => each.split(','))) {
      if (!new RegExp(words).test(arg) || !known.includes(arg)) throw new Error(`${path} does not know ${arg}`);
    }
  };

const refuse = (args: readonly string[]): void => {
  const refusal = refusalOfEnclaver(args);
  if (refusal !== undefined) throw new Error(refusal.message);
};

const checks: Readonly<Record<string, Check>> = {
  enclaver: refuse,
  '/opt/enclaver/cli/bin/enclaver': refuse,
  'cli/bin/enclaver': refuse,
  cosign: parsedByItself('cosign'),
  docker,
  journalctl: () => {},
  kubectl,
  nats: (args) => void natsCall(args),
  'nats-server': natsServer,
  node,
  npm,
  'scripts/engine': script('scripts/engine', '^(start|stop)$'),
  'scripts/setup': script('scripts/setup', '^(--check|--only|[a-z]+)$'),
  'scripts/soak': (args) => void parseArgs({ args: [...args], options: soakOptions }),
  systemctl,
  'systemd-sysusers': () => {},
  'tools/kms-emulator/bin/kms-emulator': () => {},
};

/** Files of the checkout that a command names: they have to be there. */
const OURS = /^(bench|cli|deploy|docs|examples|libs|odyn|scripts|services|test|tools)\//;
/** What a command makes. */
const MADE = /\.(bin|eif)$/;

/** What is wrong with a command; undefined if nothing. */
export async function problemOf({ program, args, text }: Call): Promise<string | undefined> {
  const missing = [program, ...args].filter(
    (word) => OURS.test(word) && !MADE.test(word) && globSync(word, { cwd: root }).length === 0,
  );
  if (missing.length > 0) return `${text}: no such file: ${missing}`;
  const check = Object.hasOwn(checks, program) ? checks[program] : undefined;
  if (check !== undefined) {
    try {
      await check(args);
      return undefined;
    } catch (error) {
      return `${text}: ${(error as Error).message}`;
    }
  }
  if ([...everyday, ...builtins].includes(program) || Object.hasOwn(elsewhere, program)) return undefined;
  return `${text}: nothing knows ${program}; say in test/docs/commands/programs.ts what it may be given`;
}
