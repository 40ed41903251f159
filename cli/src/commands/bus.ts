import { join, resolve } from 'node:path';
import type { ServerTls } from '@enclaver/bus';
import type { Command } from 'commander';
import { CliError } from '../cli-error.ts';
import { writeCredentials, writeServerConfig } from '../stack/bus-files.ts';
import { defaultDataDir, defaultStackDir } from '../stack/locations.ts';

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
    .option('--port <port>', 'TCP port of the bus', '4222')
    .option('--name <name>', 'name under which clients reach it; default: the address')
    .option('--tls-cert <file>', 'certificate of the server, PEM')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--tls-ca <file>', 'CA that clients trust in place of the public ones, PEM')
    .option('--tls-client-ca <file>', 'CA whose certificates clients have to show, too, PEM')
    .action(init);
}

interface InitOptions {
  stackDir: string;
  dataDir: string;
  host: string;
  port: string;
  name?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsCa?: string;
  tlsClientCa?: string;
}

async function init(options: InitOptions): Promise<void> {
  const { host, name = host } = options;
  const dir = join(options.stackDir, 'bus');
  const port = Number(options.port);
  const tls = tlsOf(options);
  const { users } = await writeServerConfig({ dir, storeDir: join(options.dataDir, 'bus'), host, port, tls });
  const authority = `${name.includes(':') ? `[${name}]` : name}:${port}`;
  const ca = options.tlsCa === undefined ? undefined : resolve(options.tlsCa);
  await writeCredentials(dir, `${tls === undefined ? 'nats' : 'tls'}://${authority}`, users, ca);
  process.stdout.write(`${join(dir, 'cli.json')}\n`);
}

function tlsOf({ tlsCert, tlsKey, tlsCa, tlsClientCa }: InitOptions): ServerTls | undefined {
  if (tlsCert !== undefined && tlsKey !== undefined) {
    const clientCa = tlsClientCa === undefined ? undefined : resolve(tlsClientCa);
    return { cert: resolve(tlsCert), key: resolve(tlsKey), clientCa };
  }
  if ([tlsCert, tlsKey, tlsCa, tlsClientCa].every((file) => file === undefined)) return undefined;
  throw new CliError('USAGE', 'TLS needs both --tls-cert and --tls-key', 'give both, or none of --tls-…');
}
