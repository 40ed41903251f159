import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type * as z from 'zod';
import { Failure } from './errors.ts';
import { limits } from './limits.ts';
import { answerSchema, type Request } from './messages.ts';
import { describedSchema } from './output.ts';
import { list, type Parent } from './parent.ts';

export type Described = z.infer<typeof describedSchema>;

/** An enclave and the socket of its process. */
export interface Found {
  path: string;
  described: Described;
}

/** All enclaves. Says on stderr how many did not answer, which is a failure when it is asked for their description. */
export async function findAll({ sockets }: Parent): Promise<Found[]> {
  const found: Found[] = [];
  let failed = 0;
  for (const name of list(sockets, '')) {
    const path = join(sockets, name);
    try {
      const answer = await ask(path, 'describe');
      describedSchema.parse(answer);
      // As it came: parsing puts the keys that it knows first
      found.push({ path, described: answer as Described });
    } catch (error) {
      // Its process was killed: the socket is a remainder
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') rmSync(path, { force: true });
      else failed += 1;
    }
  }
  if (failed === 0) return found;
  process.stderr.write(`Failed connections: ${failed}\n`);
  throw new Failure(39, '', ['Failed to connect to all enclave processes']);
}

/** The enclave of that id or name. Failures: 11 for an id that nobody has, 58 for a name. */
export async function findOne(
  parent: Parent,
  key: { id?: string | undefined; name?: string | undefined },
): Promise<Found> {
  const found = (await findAll(parent)).filter(
    ({ described }) => described.EnclaveID === key.id || described.EnclaveName === key.name,
  );
  if (found[0] !== undefined) return found[0];
  if (key.id !== undefined)
    throw new Failure(11, `There is no enclave ${key.id}.`, ['Failed to connect to enclave process']);
  throw new Failure(58, `There is no enclave ${key.name}.`);
}

/** Asks the process of an enclave. */
export async function ask(path: string, command: Request['command']): Promise<unknown> {
  const { value, socket } = await talk(path, command);
  socket.destroy();
  return value;
}

/** The same, and the connection behind the answer. Its data comes with `resume`. */
export async function talk(
  path: string,
  command: Request['command'],
): Promise<{ value: unknown; socket: Socket; rest: Buffer }> {
  const socket = connect(path);
  await once(socket, 'connect');
  socket.setTimeout(limits.askMs, () => socket.destroy(new Error('the process of the enclave is silent')));
  const uid = process.getuid?.() ?? 0;
  socket.write(`${JSON.stringify({ command, uid } satisfies Request)}\n`);
  let text = Buffer.alloc(0);
  for (;;) {
    const [chunk] = (await Promise.race([once(socket, 'data'), once(socket, 'end').then(() => [])])) as [Buffer?];
    if (chunk === undefined) throw new Failure(41, '', ['The process of the enclave ended']);
    text = Buffer.concat([text, chunk]);
    const end = text.indexOf('\n');
    if (end < 0) continue;
    socket.pause();
    socket.setTimeout(0);
    const answer = answerSchema.parse(JSON.parse(text.toString('utf8', 0, end)));
    if ('failure' in answer) {
      socket.destroy();
      throw new Failure(answer.failure.number, answer.failure.said);
    }
    return { value: answer.value, socket, rest: text.subarray(end + 1) };
  }
}
