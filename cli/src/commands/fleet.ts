import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { checkListenAddress } from '@enclaver/bus';
import { natsHubConfig } from '@enclaver/bus/fleet';
import { type Command, InvalidArgumentError } from 'commander';
import { portFrom } from '../numbers.ts';
import { newPassword } from '../stack/bus-files.ts';
import { makePrivateFolder } from '../stack/private-folder.ts';
import { type TlsOptions, tlsOf } from '../stack/tls-options.ts';

interface InitOptions extends TlsOptions {
  dir: string;
  listen: string;
  port: number;
  leafPort: number;
}

export function addFleet(program: Command): void {
  program
    .command('fleet')
    .summary('prepare the hub of several hosts')
    .description(
      'Prepares the hub: a nats-server that the buses of several hosts connect to. It shows, and changes nothing.',
    )
    .command('init')
    .summary("write the hub's configuration, a file for each host and one for those who look")
    .description(
      'Writes <dir>/nats.conf, <dir>/hosts/<host>.json and <dir>/fleet.json. Run again with other hosts, it keeps the\n' +
        'passwords of those that stay and takes away the files of the others; then start the hub again.',
    )
    .argument('<hub>', 'name or address by which hosts and users reach the hub')
    .argument('<host...>', 'names of the hosts: letters, digits, _ and -', hostNames)
    .option('--dir <dir>', 'folder for the files', '/etc/enclaver/fleet')
    .option('--listen <ip>', 'address that the hub listens on', '127.0.0.1')
    .option('--port <port>', 'TCP port for those who look', portFrom(1), 4223)
    .option('--leaf-port <port>', 'TCP port for the hosts', portFrom(1), 7422)
    .option('--tls-cert <file>', "the hub's TLS certificate with those above it, in PEM; needed off loopback")
    .option('--tls-key <file>', 'its key, in PEM')
    .option(
      '--tls-ca <file>',
      "certificates that the hub's descends from, in PEM, where hosts do not trust them anyway",
    )
    .action(init);
}

function hostNames(name: string, previous: string[] = []): string[] {
  if (!/^[A-Za-z0-9_-]{1,63}$/.test(name)) {
    throw new InvalidArgumentError('Allowed are up to 63 letters, digits, _ and -.');
  }
  return previous.includes(name) ? previous : [...previous, name];
}

async function init(hub: string, names: string[], options: InitOptions): Promise<void> {
  const { dir, listen, port, leafPort } = options;
  const tls = tlsOf(options);
  const ca = options.tlsCa === undefined ? {} : { caPem: await readFile(options.tlsCa, 'utf8') };
  checkListenAddress(listen, tls);
  const hostsDir = join(dir, 'hosts');
  await makePrivateFolder(dir);
  await makePrivateFolder(hostsDir);
  const address = isIP(hub) === 6 ? `[${hub}]` : hub;
  const scheme = tls === undefined ? 'nats' : 'tls';

  const fileOf = (host: string): string => join(hostsDir, `${host}.json`);
  const hosts = await Promise.all(names.map(async (host) => ({ host, password: await passwordOf(fileOf(host)) })));
  for (const host of hosts)
    await write(fileOf(host.host), { ...host, url: `${scheme}://${address}:${leafPort}`, ...ca });
  for (const file of await readdir(hostsDir)) {
    if (!names.some((name) => file === `${name}.json`)) await rm(join(hostsDir, file));
  }

  const fleetFile = join(dir, 'fleet.json');
  const reader = { user: 'fleet', password: await passwordOf(fleetFile) };
  await write(fleetFile, { url: `${scheme}://${address}:${port}`, ...reader, ...ca, hosts: names });
  const config = natsHubConfig({ listen, port, leafPort, tls, hosts, reader });
  await writeFile(join(dir, 'nats.conf'), config, { mode: 0o600 });
  process.stdout.write(`${fleetFile}\n`);
}

async function write(file: string, content: object): Promise<void> {
  await writeFile(file, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
}

/** The password in a file that we wrote; a new one where there is no file. */
async function passwordOf(file: string): Promise<string> {
  try {
    return (JSON.parse(await readFile(file, 'utf8')) as { password: string }).password;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return newPassword();
    throw error;
  }
}
