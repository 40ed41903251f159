import assert from 'node:assert/strict';
import { connect, type NatsConnection } from 'nats';
import { Bus } from '../src/index.ts';
import { NatsProcess } from './nats-process.ts';
import { record } from './record.ts';

/** A message as a program of another version writes it. */
function message(type: string, data: object, more: object = {}): string {
  const time = '2026-01-01T00:00:00.000Z';
  const envelope = { specversion: '1.0', id: '1', source: 'other', type, time, datacontenttype: 'application/json' };
  return JSON.stringify({ ...envelope, ...more, data });
}

describe('versions of the schemas', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let other: NatsConnection;
  const newer = { dataschema: 'urn:enclaver:bus:1.99', traceparent: 'not known to this version' };
  const another = { dataschema: 'urn:enclaver:bus:2.0' };

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'supervisor', credentials: nats.credentials });
    const { url, user = '', password = '' } = nats.credentials;
    other = await connect({ servers: url, user, pass: password });
    await bus.serve('supervisor', '0.1.0', {
      run: async () => ({ enclave: record }),
      update: async () => ({ enclave: record, replaces: record }),
      stop: async ({ id }) => ({ enclave: { ...record, name: id } }),
      list: async () => ({ enclaves: [] }),
      describe: async () => ({ enclave: record }),
    });
  });

  after(async () => {
    await other.close();
    await bus.close();
    await nats[Symbol.asyncDispose]();
  });

  it('are told by every service', async () => {
    await bus.announce('log-relay', '0.1.0');
    const schemas: unknown[] = [];
    for await (const { metadata } of await other.services.client().info()) schemas.push(metadata?.schema);
    assert.deepEqual(schemas, ['1.1', '1.1']);
  });

  it('that are newer by a minor one are read, what is unknown left out; another major one is refused', async () => {
    const refused: string[] = [];
    const end = bus.onRefused(({ code, message }) => refused.push(`${code} ${message}`));
    const at = (event: string): string => `enclaver.v1.enclave.${record.id}.${event}`;
    const type = (event: string): string => `enclaver.v1.enclave.${event}`;
    await other.request(at('stopping'), message(type('stopping'), { graceMs: 1 }, another));
    await other.request(at('hibernated'), message(type('hibernated'), { hours: 1 }, newer));
    await other.request(at('stopping'), message(type('stopping'), { graceMs: 2, mood: 'good' }, newer));
    await other.request(at('stopping'), message(type('stopping'), { graceMs: 3 }));
    const seen: unknown[] = [];
    for await (const event of bus.events({ replay: true })) {
      seen.push(event.data);
      if (seen.length === 2) break;
    }
    assert.deepEqual(seen, [{ graceMs: 2 }, { graceMs: 3 }]);
    assert.equal(refused.length, 1);
    assert.match(refused[0] ?? '', /^BUS_SCHEMA_UNSUPPORTED .*urn:enclaver:bus:2\.0/);
    end();
  });

  it('of a request: an older and a newer client are answered, one of another major version gets an error', async () => {
    const ask = async (data: object, more?: object): Promise<string> => {
      const subject = 'enclaver.v1.supervisor.stop';
      const answer = await other.request(subject, message(`${subject}.request`, data, more));
      return answer.string();
    };
    assert.match(await ask({ id: 'old' }), /"name":"old"/);
    assert.match(await ask({ id: 'new', force: true }, newer), /"name":"new"/);
    assert.match(await ask({ id: 'future' }, another), /"code":"BUS_SCHEMA_UNSUPPORTED"/);
  });
});
