import { once } from 'node:events';
import { options } from '../arguments.ts';
import { findOne, talk } from '../enclave-processes.ts';
import { Failure } from '../errors.ts';
import type { Parent } from '../parent.ts';

export async function consoleCommand(args: readonly string[], parent: Parent): Promise<void> {
  const given = options(args, { values: ['enclave-id', 'enclave-name', 'disconnect-timeout'] });
  const id = given['enclave-id'];
  const name = given['enclave-name'];
  if (id === undefined && name === undefined) throw new Failure(1, '`enclave-id`');
  if (id !== undefined && name !== undefined) throw new Failure(2, '`enclave-id` and `enclave-name`');
  await showConsole(parent, { id, name }, Number(given['disconnect-timeout'] ?? 0) * 1000);
}

/** Shows a console until it ends, or until nothing has come for the time given. */
export async function showConsole(
  parent: Parent,
  key: { id?: string | undefined; name?: string | undefined },
  timeoutMs = 0,
): Promise<void> {
  const { path, described } = await findOne(parent, key);
  if (described.Flags !== 'DEBUG_MODE') throw new Failure(44, '', ['The enclave is not in debug mode']);
  process.stdout.write(`Connecting to the console for enclave ${described.EnclaveCID}...\n`);
  const { socket, rest } = await talk(path, 'console');
  process.stdout.write('Successfully connected to the console.\n');
  process.stdout.write(rest);
  socket.setTimeout(timeoutMs, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.pipe(process.stdout, { end: false });
  if (!socket.closed) await once(socket, 'close');
}
