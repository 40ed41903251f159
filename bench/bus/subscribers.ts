/**
 * Subscribers to enclave events on one connection, ours or bare consumers of the same stream:
 * `node subscribers.ts CREDENTIALS ours|raw SUBSCRIBERS EVENTS`. Says "ready", and "all" whenever each has got so many more.
 */
import { Bus } from '@enclaver/bus';
import { connect, consumerOpts } from 'nats';
import { credentialsOf } from './credentials.ts';

const [, , argument, kind, subscribers, events] = process.argv;
const credentials = credentialsOf(argument);
const all = Number(subscribers) * Number(events);
let got = 0;
const count = (): void => {
  got++;
  if (got % all === 0) process.stdout.write('all\n');
};

async function readAll(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages) count();
}

if (kind === 'ours') {
  const bus = await Bus.connect({ source: 'bench', credentials });
  for (let n = 0; n < Number(subscribers); n++) {
    const watch = bus.events();
    await watch.ready;
    void readAll(watch);
  }
} else {
  const { url, user, password } = credentials;
  const connection = await connect({ servers: url, user, pass: password });
  const jetStream = connection.jetstream();
  for (let n = 0; n < Number(subscribers); n++) {
    const options = consumerOpts().orderedConsumer().deliverNew();
    const subscription = await jetStream.subscribe('enclaver.v1.enclave.>', options);
    void (async () => {
      for await (const message of subscription) {
        JSON.parse(message.string());
        count();
      }
    })();
  }
}
process.stdout.write('ready\n');
