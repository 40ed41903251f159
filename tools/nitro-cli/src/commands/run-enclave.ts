import { fork } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runArguments } from '../arguments.ts';
import { findAll } from '../enclave-processes.ts';
import { Failure } from '../errors.ts';
import { type Launch, reportSchema } from '../messages.ts';
import { describedSchema, print } from '../output.ts';
import type { Parent } from '../parent.ts';
import { Pool } from '../pool.ts';
import { showConsole } from './console.ts';

export async function runEnclave(args: readonly string[], parent: Parent): Promise<void> {
  const { launch, attachConsole } = runArguments(args);
  await new Pool(parent).refresh();
  const name = freeName(
    launch.name,
    (await findAll(parent)).map(({ described }) => described.EnclaveName),
  );
  const started = await startProcess({ ...launch, name }, parent);
  print(started);
  if (attachConsole)
    await showConsole(parent, { id: describedSchema.pick({ EnclaveID: true }).parse(started).EnclaveID });
}

/** Starts the process that holds the enclave and waits until it has booted; it outlives us. */
async function startProcess(launch: Launch, { logs }: Parent): Promise<unknown> {
  mkdirSync(logs, { recursive: true });
  const log = openSync(join(logs, 'nitro_enclaves.log'), 'a');
  const program = fileURLToPath(new URL('../enclave-process.ts', import.meta.url));
  const child = fork(program, [], { detached: true, stdio: ['ignore', 'ignore', log, 'ipc'] });
  child.send(launch);
  const started = await new Promise((resolve, reject) => {
    child.on('message', (message) => {
      const report = reportSchema.parse(message);
      if ('progress' in report) process.stderr.write(`${report.progress}\n`);
      else if ('started' in report) resolve(report.started);
      else reject(new Failed(report.failed));
    });
    child.once('exit', () => reject(new Failure(38, '', ['The process of the enclave ended'])));
  });
  child.removeAllListeners();
  if (child.connected) child.disconnect();
  child.unref();
  return started;
}

/** Its words are whole already: the process has made them. */
class Failed extends Failure {
  constructor({ number, said, backtrace }: { number: number; said: string; backtrace: readonly string[] }) {
    super(number, '', backtrace);
    this.message = said;
  }
}

/** A name that is taken gets the first free number. */
function freeName(name: string, taken: readonly string[]): string {
  let free = name;
  for (let number = 1; taken.includes(free); number += 1) free = `${name}_${number}`;
  return free;
}
