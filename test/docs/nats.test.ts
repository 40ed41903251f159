import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Bus } from '@enclaver/bus';
import { connect, type NatsConnection } from 'nats';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { record } from '../../libs/bus/test/record.ts';
import { shellBlocks } from './commands/markdown.ts';
import { type NatsCall, natsCall } from './commands/nats.ts';
import { callsIn } from './commands/shell.ts';

/** The enclave of the page. */
const id = 'e-0123456789ab';

/**
 * The recipes of docs/bus.md as they stand there, on a real server with the permissions of the user that they name. `nats` itself
 * is in no package of Debian: what it asks of the server is asked by the client library.
 */
describe('docs/bus.md: each recipe for the nats command', () => {
  let nats: NatsProcess;
  let supervisor: Bus;
  let client: NatsConnection;
  let recipes: NatsCall[];

  before(async () => {
    nats = await NatsProcess.start();
    supervisor = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
    await supervisor.serve('supervisor', '0.1.0', {
      run: async () => ({ enclave: record }),
      update: async () => ({ enclave: record, replaces: record }),
      stop: async () => ({ enclave: record }),
      list: async () => ({ enclaves: [] }),
      describe: async () => ({ enclave: record }),
    });
    await supervisor.enclaves.put({ ...record, id });
    await supervisor.publishEvent(id, 'ready', { ingress: [] });
    const page = await readFile(new URL('../../docs/bus.md', import.meta.url), 'utf8');
    const calls = shellBlocks(page).flatMap(({ text }) => callsIn(text));
    recipes = calls.filter(({ program }) => program === 'nats').map(({ args }) => natsCall(args));
  });

  after(async () => {
    await client?.close();
    await supervisor.close();
    await nats[Symbol.asyncDispose]();
  });

  /** What of the first recipe is not the page's to know: where this server is, and its password. */
  async function saveContext({ options }: NatsCall): Promise<void> {
    assert.deepEqual(options, {
      server: 'nats://127.0.0.1:4222',
      user: 'reader',
      password: '$(jq -r .password /run/enclaver/bus/reader.json)',
      'inbox-prefix': '_INBOX_reader',
      select: true,
    });
    const { url, user, password } = nats.as('reader');
    client = await connect({ servers: url, user, pass: password, inboxPrefix: String(options['inbox-prefix']) });
  }

  async function subscribe(subject: string): Promise<void> {
    const heard = Promise.withResolvers<string>();
    client.subscribe(subject, {
      callback: (error, message) => (error === null ? heard.resolve(message.subject) : heard.reject(error)),
    });
    await client.flush();
    await supervisor.publishEvent(id, 'stopping', { graceMs: 1 });
    supervisor.warnings.raise({ code: 'TRIED', severity: 'info', message: 'x' });
    await supervisor.warnings.written();
    const subjects: Record<string, string> = {
      'enclaver.v1.enclave.>': `enclaver.v1.enclave.${id}.stopping`,
      'enclaver.v1.warning.>': 'enclaver.v1.warning.supervisor.TRIED',
    };
    assert.equal(await heard.promise, subjects[subject]);
    supervisor.warnings.clear('TRIED');
    await supervisor.warnings.written();
  }

  /** Names of the services that answer to `$SRV.<verb>`, to one service or to each. */
  async function services(verb: 'info' | 'stats', name?: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { endpoints, ...service } of await client.services.client()[verb](name)) {
      assert.ok(endpoints?.some((endpoint) => endpoint.name === 'stop'));
      names.push(service.name);
    }
    return names;
  }

  const runs: Readonly<Record<string, (call: NatsCall) => Promise<void>>> = {
    'context save': saveContext,
    sub: ({ args: [subject = ''] }) => subscribe(subject),
    'micro ls': async () => assert.deepEqual(await services('info'), ['enclaver-supervisor']),
    'micro info': async ({ args: [name] }) => assert.deepEqual(await services('info', name), [name]),
    'micro stats': async ({ args: [name] }) => assert.deepEqual(await services('stats', name), [name]),
    'kv get': async ({ args: [bucket = '', key = ''] }) => {
      const kept = await client.jetstream().views.kv(bucket, { bindOnly: true });
      assert.equal((await kept.get(key))?.json<{ id: string }>().id, id);
    },
    'stream info': async ({ args: [stream = ''] }) => {
      const { streams } = await client.jetstreamManager();
      assert.ok((await streams.info(stream)).state.messages > 0);
    },
    'stream get': async ({ args: [stream = ''], options }) => {
      const { streams } = await client.jetstreamManager();
      const found = await streams.getMessage(stream, { last_by_subj: String(options['last-for']) });
      assert.deepEqual(found?.json<{ data: object }>().data, { ingress: [] });
    },
  };

  it('gets its answer with the permissions of the user that it names', async () => {
    assert.equal(recipes[0]?.command, 'context save');
    assert.deepEqual(new Set(recipes.map(({ command }) => command)), new Set(Object.keys(runs)));
    for (const recipe of recipes) await runs[recipe.command]?.(recipe);
  });
});
