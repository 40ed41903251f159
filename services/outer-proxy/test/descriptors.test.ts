import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ProxyProcesses } from './proxy-processes.ts';

const execute = promisify(execFile);

describe('an outer-proxy whose descriptors run out', () => {
  let proxies: ProxyProcesses;

  beforeEach(async () => {
    proxies = await ProxyProcesses.make();
  });

  afterEach(async () => {
    await proxies[Symbol.asyncDispose]();
  });

  for (const protocol of ['tcp', 'http'] as const) {
    it(`survives that it has no descriptors left for ${protocol} clients, says so, and goes on when it has`, async () => {
      proxies.guest.on(8080, (socket) =>
        protocol === 'tcp'
          ? socket.write('served')
          : socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved')),
      );
      const room = 120;
      const http = join(proxies.folder, 'http.sock');
      const { process: proxy } = await proxies.start({ ENCLAVER_HTTP: `unix:${http}` }, [
        'prlimit',
        `--nofile=${room}`,
      ]);
      const { port } = await proxies.publish({ protocol });
      const open = async (): Promise<number> => (await readdir(`/proc/${proxy.pid}/fd`)).length;
      const clients = Array.from({ length: room }, () => connect(port, '127.0.0.1').on('error', () => undefined));
      // Until all that there is room for is taken
      for (let before = 0; before < room - 4 || before !== (await open()); ) {
        before = await open();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      // Nobody who waits is turned away
      assert.ok(clients.every(({ destroyed, readableEnded }) => !destroyed && !readableEnded));
      for (const client of clients) client.destroy();
      proxies.guest.cut();
      // One that comes before that is taken, and let go for want of a second descriptor
      while ((await open()) > room / 2) await new Promise((resolve) => setTimeout(resolve, 20));
      const late = connect(port, '127.0.0.1');
      if (protocol === 'http') late.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.match(String((await once(late, 'data'))[0]), /served$/);
      late.destroy();
      const { stdout } = await execute('curl', ['-sS', '--unix-socket', http, 'http://localhost/metrics']);
      assert.match(stdout, /^enclaver_proxy_accept_errors_total\{enclave="test"\} [1-9]/m);
      const raised = async () => (await proxies.bus.warnings.list()).some(({ code }) => code === 'ACCEPT_ERRORS');
      while (!(await raised())) await new Promise((resolve) => setTimeout(resolve, 50));
      const server = createServer((socket) => socket.end('served')).listen(0, '127.0.0.1');
      await once(server, 'listening');
      assert.equal(await proxies.askOut((server.address() as AddressInfo).port), 'served');
      server.close();
    });
  }
});
