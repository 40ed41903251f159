import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
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
      'Writes nats.conf and one credentials file per service into <stack folder>/bus, unless they are there already.',
    )
    .option('--stack-dir <dir>', 'folder for sockets and credentials', defaultStackDir())
    .option('--data-dir <dir>', "folder for the bus's state", defaultDataDir())
    .option('--port <port>', 'TCP port of the bus on 127.0.0.1', '4222')
    .action(init);
}

async function init(options: { stackDir: string; dataDir: string; port: string }): Promise<void> {
  const dir = join(options.stackDir, 'bus');
  const credentials = join(dir, 'cli.json');
  const exists = await access(credentials).then(
    () => true,
    () => false,
  );
  if (!exists) {
    const port = Number(options.port);
    const { users } = await writeServerConfig({ dir, storeDir: join(options.dataDir, 'bus'), port });
    await writeCredentials(dir, `nats://127.0.0.1:${port}`, users);
  }
  process.stdout.write(`${credentials}\n`);
}
