import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Bus } from '@enclaver/bus';
import type { TestStack } from '../../test/stack/stack.ts';
import type { Quota } from './quota.ts';
import type { SharedHost } from './shared-host.ts';

/** Boots one enclave for each of `quotas`, which holds its machine from then on. Their end is that of the stack. */
export async function bootAll(stack: TestStack, eif: string, quotas: readonly Quota[]): Promise<SharedHost> {
  await using bus = await Bus.connect({ source: 'bench', credentials: stack.busFile });
  const ports: number[] = [];
  let lastName = '';
  for (const [index, quota] of quotas.entries()) {
    lastName = `enclave-${index}`;
    const events = bus.events();
    await events.ready;
    const publish = [{ listenPort: 8000, host: '127.0.0.1', port: 0 }];
    const { enclave } = await bus.request('supervisor', 'run', { eif, name: lastName, publish });
    for await (const event of events) {
      if (event.name === 'failed') throw new Error(JSON.stringify(event.data));
      if (event.name !== 'ready') continue;
      ports.push(event.data.ingress[0]?.port ?? 0);
      break;
    }
    // The machine and its vsock device have the enclave's folder among their words
    for (const pid of execFileSync('pgrep', ['-f', enclave.id], { encoding: 'utf8' }).trim().split('\n'))
      quota.take(Number(pid));
  }
  return { ports, lastName, metricsOf: (service) => join(stack.dir, 'http', `${service}.sock`) };
}
