import { type Bus, logKinds } from '@enclaver/bus';
import { connect } from 'nats';
import type { NatsProcess } from '../../../libs/bus/test/nats-process.ts';

/** The bus with something else in it. */
export function busWith(bus: Bus, parts: { [N in keyof Bus]?: unknown }): Bus {
  return new Proxy(bus, {
    get: (_, name: keyof Bus) => {
      const value = name in parts ? parts[name] : bus[name];
      return typeof value === 'function' ? value.bind(bus) : value;
    },
  });
}

/** Has the server write its own answer behind what there is in an enclave's log, as users of its account can. */
export async function answerIntoLog(nats: NatsProcess, bus: Bus, id: string): Promise<void> {
  const { url, user = '', password = '' } = nats.as('cli');
  const client = await connect({ servers: url, user, pass: password });
  const { position } = await bus.logStore.end();
  for (const kind of logKinds) {
    client.publish('$JS.API.INFO', '', { reply: `enclaver.v1.log.${id}.${kind}` });
  }
  while ((await bus.logStore.end()).position < position + logKinds.length) await client.flush();
  await client.close();
}
