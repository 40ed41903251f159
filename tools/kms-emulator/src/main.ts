import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { ConfigError, readConfig } from './config.ts';
import { KmsEmulator } from './kms-emulator.ts';

const USAGE = 'usage: kms-emulator CONFIG.json';

/** Runs until SIGINT or SIGTERM. Its one line on stdout says that it listens. Exit code 2 for a configuration that is wrong. */
async function main(): Promise<void> {
  const { positionals } = parseArgs({ allowPositionals: true });
  const [path, ...others] = positionals;
  if (path === undefined || others.length > 0) throw new ConfigError(USAGE);
  const { options, addKeys } = await readConfig(path);
  await using emulator = await KmsEmulator.start(options);
  addKeys(emulator.keys);
  const keys = emulator.keys.all().map(({ arn }) => arn);
  const certificate = options.tls?.cert;
  console.log(JSON.stringify({ endpoint: emulator.endpoint, keys, certificate }));
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
}

try {
  await main();
} catch (error) {
  const { code = 'INTERNAL', message } = error as Error & { code?: string };
  console.error(`error[${code}]: ${message}`);
  if (error instanceof ConfigError) console.error(`help: ${error.remedy}`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}
