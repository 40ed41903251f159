/** Answers `supervisor.describe` as a service does, and the same bytes on `bench.raw` as a bare client: `node responder.ts`. */
import { Bus } from '@enclaver/bus';
import { connect } from 'nats';
import { record } from '../../libs/bus/test/record.ts';
import { credentialsOf, RAW_SUBJECT } from './credentials.ts';

const credentials = credentialsOf(process.argv[2]);
const bus = await Bus.connect({ source: 'bench', credentials });
const refuse = (): Promise<never> => Promise.reject(new Error('only describe is asked for here'));
await bus.serve('supervisor', '0.0.0', {
  run: refuse,
  update: refuse,
  stop: refuse,
  list: refuse,
  describe: async () => ({ enclave: record }),
});
const connection = await connect({ servers: credentials.url, user: credentials.user, pass: credentials.password });
connection.subscribe(RAW_SUBJECT, { callback: (_error, message) => message.respond(message.data) });
await connection.flush();
process.stdout.write('ready\n');
