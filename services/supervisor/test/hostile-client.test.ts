import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { operations, subjects } from '@enclaver/bus';
import { connect, type NatsConnection } from 'nats';
import { encodeCloudEvent } from '../../../libs/bus/src/cloud-event.ts';
import { TestHost } from './test-host.ts';

const RUN = subjects.operation('supervisor', 'run');
const LIST = subjects.operation('supervisor', 'list');
const INBOX = subjects.inboxPrefix('cli');

const event = (data: unknown): Buffer => encodeCloudEvent('cli', RUN, data);
const MANY = 100_000;

/** Somebody with the credentials of the command, who sends what it never would. */
describe('supervisor with a hostile bus client', function () {
  this.timeout(60_000);

  const host = TestHost.use();
  let nats: NatsConnection;

  before(async () => {
    // Each test has a supervisor of its own
    const handlers = Object.keys(operations.supervisor).map((name) => [
      name,
      (request: never) => host.supervisor.handlers[name as keyof typeof operations.supervisor](request),
    ]);
    await host.bus.serve('supervisor', '0.0.0', Object.fromEntries(handlers));
  });

  beforeEach(async () => {
    const { url, user, password } = host.nats.as('cli');
    nats = await connect({ servers: url, user, pass: password, inboxPrefix: INBOX });
  });

  afterEach(() => nats.close());

  for (const [what, bytes] of Object.entries({
    nothing: Buffer.alloc(0),
    'bytes at random': randomBytes(1_000),
    'JSON that is no message': Buffer.from('{"run":"this"}'),
    'an array in an array, a million times': Buffer.alloc(1_000_000, '['),
    'a request of another operation': event({ id: 'e-000000000001', graceMs: 1 }),
    'a path that is relative': event({ eif: '../../etc/passwd' }),
    'a hundred thousand wrong ports': event({ eif: '/a.eif', publish: Array(MANY).fill({ port: 'x' }) }),
    'a hundred thousand unknown keys': event(
      Object.fromEntries(Array.from({ length: MANY }, (_, n) => [`key${n}`, n])),
    ),
    'a path of three megabytes': event({ eif: `/${'p'.repeat(3_000_000)}` }),
    'a schema that is not there yet': Buffer.from(
      event({ eif: '/a.eif' })
        .toString()
        .replace(/urn:enclaver:bus:\d+/, 'urn:enclaver:bus:99'),
    ),
  })) {
    it(`refuses ${what} in a few words, and serves on`, () => refuses(bytes));
  }

  for (const [what, name] of Object.entries({
    nothing: '',
    'three megabytes': 'n'.repeat(3_000_000),
    'two lines': 'hello\nhello',
    'an escape of a terminal': '\u001b[2J',
  })) {
    it(`refuses a name of ${what} for an image that it could start, in a few words`, () =>
      refuses(event({ eif: host.eif, name })));
  }

  async function refuses(request: Buffer): Promise<void> {
    const reply = await nats.request(RUN, request, { timeout: 20_000 });
    assert.match(reply.headers?.get('Nats-Service-Error-Code') ?? '', /^\d+$/, 'an error');
    assert.ok(reply.data.length < 65_536, `${reply.data.length} bytes`);
    assert.deepEqual(await host.bus.request('supervisor', 'list', {}), { enclaves: [] });
  }

  it('serves others while a client asks without end, and takes no answer', async () => {
    const { id } = await host.runTo('ready');
    for (let n = 0; n < 2_000; n++) nats.publish(RUN, randomBytes(64), { reply: `${INBOX}.none${n}` });
    for (let n = 0; n < 2_000; n++) nats.publish(LIST, encodeCloudEvent('cli', LIST, {}), { reply: `${INBOX}.none` });
    await nats.flush();
    const { enclaves } = await host.bus.request('supervisor', 'list', {});
    assert.deepEqual(
      enclaves.map((each) => [each.id, each.state]),
      [[id, 'ready']],
    );
    host.machine.say({ status: 'exited', code: 0 });
    await host.until('exited');
  });
});
