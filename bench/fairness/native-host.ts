import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { limits } from '../../cli/src/limits.ts';
import { Frame } from '../../test/faults/frame.ts';
import { nodeRoot } from '../../test/faults/node-root.ts';
import { Processes, REST_CPU, SHARED_CPU } from './processes.ts';
import type { Quota } from './quota.ts';
import type { SharedHost } from './shared-host.ts';

/** As `enclaver up` starts them. */
const nicenessOf = (name: string): number => (/^(log-relay|nats-server)$/.test(name) ? limits.logNiceness : 0);
const APP = new URL('../../test/e2e/hostile/server.js', import.meta.url).pathname;

/**
 * A network of its own. Sockets inside take memory of the enclave's own kernel; here they take it from the one that all share, so
 * that those of the last one, thousands that nobody reads from, have buffers of 64 KiB at most.
 */
const network = (isLast: boolean): string[] => {
  const small = ['tcp_rmem', 'tcp_wmem'].map((name) => `echo 4096 16384 65536 >/proc/sys/net/ipv4/${name}`);
  const steps = ['ip link set lo up', ...(isLast ? small : []), 'exec "$0" "$@"'];
  return ['unshare', '-n', 'sh', '-c', steps.join(' && ')];
};

/** Starts odyn and its app once for each of `quotas`, which holds both from then on. `folder`: for sockets. */
export async function startAll(
  parts: AsyncDisposableStack,
  folder: string,
  quotas: readonly Quota[],
): Promise<SharedHost> {
  execFileSync('taskset', ['-acp', `${REST_CPU}`, `${process.pid}`], { stdio: 'ignore' });
  const frame = parts.use(new Frame());
  const metricsOf = (service: string): string => join(folder, `${service}.sock`);
  await frame.open({
    proxies: 1,
    prefix: (name) => ['taskset', '-c', `${SHARED_CPU}`, 'nice', '-n', `${nicenessOf(name)}`],
    env: (name) => ({ ENCLAVER_HTTP: `unix:${metricsOf(name)}` }),
  });
  parts.use(new Processes()).keepBusy();
  const ports: number[] = [];
  let lastName = '';
  for (const [index, quota] of quotas.entries()) {
    const { enclave, port, record } = await frame.add({
      app: async (app, root) => ({ argv: [...(await nodeRoot(root, APP)), `${app.port}`] }),
      prefix: network(index === quotas.length - 1),
    });
    quota.take(enclave.pid);
    ports.push(port);
    lastName = record.name;
  }
  return { ports, lastName, metricsOf };
}
