import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, everything, natsServerConfig } from '@enclaver/bus';
import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers';
import { tlsFiles } from '../../libs/bus/test/tls-files.ts';
import { freePort } from '../stack/free-port.ts';

const user = { user: 'test', password: 'only-in-this-test' };
const PORT = 4222;

describe('the bus on a NATS server in a container', function () {
  this.timeout(120_000);

  const temporary = process.env.TMPDIR;
  let work: string;
  let container: StartedTestContainer;
  let bus: Bus;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-bus-'));
    // testcontainers leaves a lock file in the folder for temporary files
    process.env.TMPDIR = work;
    const files = await tlsFiles(work, ['IP:127.0.0.1']);
    const tls = { cert: '/server.pem', key: '/server.key' };
    const config = natsServerConfig({
      host: '0.0.0.0',
      port: PORT,
      storeDir: '/data',
      tls,
      users: [{ ...user, permissions: everything }],
    });
    await writeFile(join(work, 'nats.conf'), config);
    container = await new GenericContainer('enclaver-test/nats:local')
      .withCopyContentToContainer([{ content: config, target: '/nats.conf' }])
      .withCopyFilesToContainer([
        { source: files.server.cert, target: tls.cert },
        { source: files.server.key, target: tls.key },
      ])
      .withCommand(['-c', '/nats.conf'])
      // An own number: a port that the engine picks is another one after a restart
      .withExposedPorts({ container: PORT, host: await freePort() })
      .withWaitStrategy(Wait.forLogMessage('Server is ready'))
      .start();
    const url = `tls://${container.getHost()}:${container.getMappedPort(PORT)}`;
    bus = await Bus.connect({ source: 'test', credentials: { url, ...user, ca: files.ca } });
  });

  after(async () => {
    await bus?.close();
    await container?.stop();
    if (temporary === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = temporary;
    await rm(work, { recursive: true });
  });

  it('keeps events for those who come later, and state by key', async () => {
    await bus.publishEvent('e-0123456789ab', 'stopping', { graceMs: 1 });
    for await (const event of bus.events({ replay: true })) {
      assert.equal(event.name, 'stopping');
      break;
    }
    assert.deepEqual(await bus.enclaves.list(), []);
  });

  it('is taken up again after the server was restarted, with nothing lost that was stored', async () => {
    const reconnected = (async () => {
      for await (const connected of connectionChanges(bus)) if (connected) return;
    })();
    await container.restart();
    await reconnected;
    await bus.publishEvent('e-0123456789ab', 'booting', {});
    const names: string[] = [];
    for await (const event of bus.events({ replay: true })) {
      names.push(event.name);
      if (names.length === 2) break;
    }
    assert.deepEqual(names, ['stopping', 'booting']);
  });
});

async function* connectionChanges(bus: Bus): AsyncGenerator<boolean> {
  const queue: boolean[] = [];
  let wake: (() => void) | undefined;
  void bus.onConnectionChange((connected) => {
    queue.push(connected);
    wake?.();
  });
  for (;;) {
    const next = queue.shift();
    if (next !== undefined) yield next;
    else
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  }
}
