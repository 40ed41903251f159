import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { portFrom } from '../numbers.ts';
import { writeCredentials, writeServerConfig } from '../stack/bus-files.ts';
import { type Owner, prepareForContainers } from '../stack/container-folders.ts';
import { defaultDataDir, defaultStackDir } from '../stack/locations.ts';
import { makePrivateFolder } from '../stack/private-folder.ts';
import { checkStackFolder } from '../stack/stack-folder.ts';
import { type TlsOptions, tlsOf } from '../stack/tls-options.ts';

export function addBus(program: Command): void {
  program
    .command('bus')
    .summary('prepare the bus for a stack that others run')
    .description('Prepares the bus for Docker Compose or systemd, which run nats-server themselves.')
    .command('init')
    .summary('write the configuration of nats-server and the credentials of each service')
    .description(
      'Writes nats.conf and one credentials file per user into <stack folder>/bus. Passwords that are there are kept.',
    )
    .option('--stack-dir <dir>', 'folder for sockets and credentials', defaultStackDir())
    .option('--data-dir <dir>', "folder for the bus's state", defaultDataDir())
    .option('--host <address>', 'IP address to listen on; another than loopback needs TLS', '127.0.0.1')
    .option('--port <port>', 'TCP port of the bus', portFrom(1), 4222)
    .option('--name <name>', 'name under which clients reach it; default: the address')
    .option('--tls-cert <file>', 'certificate of the server, PEM')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--tls-ca <file>', 'CA that clients trust in place of the public ones, PEM')
    .option('--tls-client-ca <file>', 'CA whose certificates clients have to show, too, PEM')
    .option('--fleet <file>', 'be part of a fleet: the file that `enclaver fleet init` wrote for this host')
    .option(
      '--containers <uid:gid>',
      'a folder for each service with its own file alone, all of it owned by this user',
      owner,
    )
    .action(init);
}

interface InitOptions extends TlsOptions {
  stackDir: string;
  dataDir: string;
  host: string;
  port: number;
  name?: string;
  fleet?: string;
  containers?: Owner;
}

async function init(options: InitOptions): Promise<void> {
  const { host, name = host, port, fleet } = options;
  const dir = join(options.stackDir, 'bus');
  const tls = tlsOf(options);
  const storeDir = join(options.dataDir, 'bus');
  await makePrivateFolder(options.stackDir);
  // Another one is what the caller says it is, such as a volume that the services share
  if (options.stackDir === defaultStackDir()) await checkStackFolder(options.stackDir);
  await makePrivateFolder(options.dataDir);
  const { users } = await writeServerConfig({ dir, storeDir, host, port, tls, fleet });
  const authority = `${name.includes(':') ? `[${name}]` : name}:${port}`;
  const ca = options.tlsCa === undefined ? undefined : resolve(options.tlsCa);
  await writeCredentials(dir, `${tls === undefined ? 'nats' : 'tls'}://${authority}`, users, ca);
  if (options.containers !== undefined)
    await prepareForContainers(options.stackDir, options.dataDir, options.containers);
  process.stdout.write(`${join(dir, 'cli.json')}\n`);
}

function owner(text: string): Owner {
  const match = /^(\d{1,10}):(\d{1,10})$/.exec(text);
  if (match === null) throw new InvalidArgumentError('not two numbers such as 1000:1000.');
  return { uid: Number(match[1]), gid: Number(match[2]) };
}
