import { options } from '../arguments.ts';
import { ask, type Found, findAll, findOne } from '../enclave-processes.ts';
import { Failure } from '../errors.ts';
import { print } from '../output.ts';
import type { Parent } from '../parent.ts';

export async function terminateEnclave(args: readonly string[], parent: Parent): Promise<void> {
  const given = options(args, { values: ['enclave-id', 'enclave-name'], flags: ['all'] });
  const id = given['enclave-id'];
  const name = given['enclave-name'];
  if (given.all === true) {
    const terminated = [];
    for (const found of await findAll(parent)) terminated.push(await terminate(found));
    print(terminated);
    return;
  }
  if (id === undefined && name === undefined) throw new Failure(1, '`enclave-id`');
  if (id !== undefined && name !== undefined) throw new Failure(2, '`enclave-id` and `enclave-name`');
  print(await terminate(await findOne(parent, { id, name })));
}

async function terminate({ path, described }: Found): Promise<object> {
  const { EnclaveName, EnclaveID } = described;
  return { EnclaveName, EnclaveID, Terminated: (await ask(path, 'terminate')) === true };
}
