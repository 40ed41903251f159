import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeControl } from '@enclaver/wire';
import { FakeSystem } from './fake-system.ts';
import { type AppSpec, FakeParent, freePort, linesOf, readLog, StatusReader, startOdyn } from './harness.ts';

const sh = (script: string): string[] => ['/bin/sh', '-c', script];

async function isThere(path: string): Promise<void> {
  while (!existsSync(path)) await sleep(10);
}

describe('odyn', function () {
  this.timeout(30_000);
  let parent: FakeParent;

  beforeEach(async () => {
    parent = await FakeParent.make();
    await parent.listen();
  });
  afterEach(() => parent.close());

  async function runApp(spec: AppSpec, parts: Parameters<typeof startOdyn>[2] = {}) {
    const { finished } = await startOdyn(parent, spec, parts);
    const status = await StatusReader.open(parent);
    const [final, log] = await Promise.all([status.final(), readLog(parent), finished]);
    return { final, log, seen: status.all };
  }

  it('keeps the streams of the app apart and reports its exit code', async () => {
    const { final, log, seen } = await runApp({ argv: sh('echo out; echo err >&2; exit 7') });
    assert.deepEqual(final, { status: 'exited', code: 7 });
    assert.deepEqual(linesOf(log, 'stdout'), ['out']);
    assert.deepEqual(linesOf(log, 'stderr'), ['err']);
    assert.equal(log.at(-1)?.stream, 'end');
    assert.equal(seen[0]?.status, 'running');
  });

  it('reports the signal that killed the app by its name (fault D1)', async () => {
    for (const signal of ['TERM', 'KILL', 'SEGV']) {
      const own = await FakeParent.make();
      const { finished } = await startOdyn(own, { argv: sh(`kill -${signal} $$`) });
      const status = await StatusReader.open(own);
      const [final] = await Promise.all([status.final(), readLog(own), finished]);
      assert.deepEqual(final, { status: 'signaled', signal: `SIG${signal}` });
      await own.close();
    }
  });

  it('does not take a real-time signal for a good end', async () => {
    const { final } = await runApp({ argv: sh('kill -40 $$') });
    assert.deepEqual(final, { status: 'signaled', signal: 'SIGRTMIN+6' });
  });

  it('starts no app on random numbers that are not good (fault D16)', async () => {
    await using machine = await FakeSystem.make({ rng_current: 'none\n' });
    const parts = { nsm: machine.nsm, nsmOrigin: 'device', system: machine.system } as const;
    const { final, log } = await runApp({ argv: sh('echo runs') }, parts);
    assert.match(
      final.status === 'fatal' ? final.error : '',
      /^ENTROPY_SOURCE: .* "none"; with the NSM it is nsm-hwrng/,
    );
    assert.deepEqual(linesOf(log, 'stdout'), []);
  });

  it('tells how its clock is while the app runs', async () => {
    await using machine = await FakeSystem.make();
    machine.offsetMs = -7_000;
    const { final, seen } = await runApp(
      { argv: sh('sleep 1') },
      { nsm: machine.nsm, nsmOrigin: 'device', system: machine.system },
    );
    assert.deepEqual(final, { status: 'exited', code: 0 });
    const clocks = seen.flatMap((status) => (status.status === 'running' && status.clock ? [status.clock] : []));
    assert.equal(clocks.at(-1), 'kvm-clock, 7 s behind the NSM');
  });

  it('says what is missing when the program cannot be started', async () => {
    const { final, log } = await runApp({ argv: ['/app'] });
    assert.deepEqual(final, {
      status: 'fatal',
      error: 'APP_NOT_STARTED: cannot start /app: No such file or directory (exec)',
    });
    assert.match(linesOf(log, 'odyn').join('\n'), /cannot start \/app/);
  });

  it('reports errors with quotes, backslashes and line feeds unharmed (faults D2, B-6)', async () => {
    const name = '/"quo\\ted"\nname';
    const { final } = await runApp({ argv: [name] });
    assert.ok(final.status === 'fatal');
    assert.ok(final.error.includes(`cannot start ${name}: No such file`));
  });

  it('is ready at once without ingress, and stops the app when asked', async () => {
    const { finished, root } = await startOdyn(parent, {
      argv: sh('trap "echo stopping; exit 3" TERM; echo up; : >/tmp/up; while :; do sleep 0.05; done'),
    });
    const status = await StatusReader.open(parent);
    const log = readLog(parent);
    const ready = await status.phase('ready');
    assert.ok(ready.status === 'running' && ready.timings);
    const { initMs, odynMs, startingMs, readyMs = 0 } = ready.timings;
    assert.deepEqual([initMs, odynMs], [1, 2]);
    assert.ok(startingMs > 2 && readyMs >= startingMs);
    // Nothing orders the trap against "ready"
    await isThere(join(root, 'tmp/up'));
    status.socket.write(encodeControl({ command: 'stop', graceMs: 10_000 }));
    assert.deepEqual(await status.final(), { status: 'exited', code: 3 });
    await finished;
    assert.deepEqual(linesOf(await log, 'stdout'), ['up', 'stopping']);
    const phases = status.all.map((one) => (one.status === 'running' ? one.phase : one.status));
    assert.deepEqual(phases, ['starting', 'ready', 'stopping', 'exited']);
  });

  it('kills the whole group of an app that does not stop in time', async () => {
    const { finished, root } = await startOdyn(parent, {
      argv: sh('trap "" TERM; sleep 1000 & echo $! up; : >/tmp/up; wait; wait; sleep 1000'),
    });
    const status = await StatusReader.open(parent);
    const log = readLog(parent);
    await status.phase('ready');
    await isThere(join(root, 'tmp/up'));
    status.socket.write(encodeControl({ command: 'stop', graceMs: 100 }));
    const detail = 'it had not ended 100 ms after it was asked to';
    assert.deepEqual(await status.final(), { status: 'signaled', signal: 'SIGKILL', cause: 'grace-over', detail });
    await finished;
    const sleeper = Number(linesOf(await log, 'stdout')[0]?.split(' ')[0]);
    assert.throws(() => process.kill(sleeper, 0), { code: 'ESRCH' });
  });

  it('is ready only when the app listens at every ingress port, and lets connections in', async () => {
    const port = await freePort();
    const { finished } = await startOdyn(parent, {
      argv: sh(`while [ ! -e /tmp/go ]; do sleep 0.05; done; exec httpd -f -p 127.0.0.1:${port} -h /tmp`),
      manifest: `ingress:\n  - listen_port: ${port}\n`,
    });
    const status = await StatusReader.open(parent);
    const log = readLog(parent);
    await status.phase('starting');
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(status.all.length, 1);
    await writeFile(`${parent.folder}/rootfs/tmp/go`, 'gone');
    await status.phase('ready');
    const client = await parent.dial(port);
    client.write('GET /go HTTP/1.0\r\n\r\n');
    assert.match(await text(client), /^HTTP\/1\.[01] 200 OK/);
    status.socket.write(encodeControl({ command: 'stop', graceMs: 10_000 }));
    assert.deepEqual(await status.final(), { status: 'signaled', signal: 'SIGTERM' });
    await Promise.all([finished, log]);
  });

  it('gives the app its user, groups, folder and environment', async () => {
    const { log, final } = await runApp({
      argv: ['sh', '-c', 'id; pwd; env'],
      user: 'web',
      workdir: '/srv/new',
      env: ['A=1=2', 'EMPTY=', 'no_proxy=image'],
      files: {
        'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nweb:x:1234:2345::/home/web:/bin/sh\n',
        'etc/group': 'root:x:0:\nweb:x:2345:\nextra:x:77:other,web\n',
      },
      manifest: 'egress:\n  proxy_port: 10123\n  allow: [example.com]\n',
    });
    assert.deepEqual(final, { status: 'exited', code: 0 });
    const lines = linesOf(log, 'stdout');
    assert.match(lines[0] ?? '', /^uid=1234\(web\) gid=2345\(web\) groups=77\(extra\),2345\(web\)$/);
    assert.equal(lines[1], '/srv/new');
    const proxy = 'http://127.0.0.1:10123/';
    const expected = [
      'A=1=2',
      'EMPTY=',
      'HOME=/home/web',
      'HOSTNAME=enclave',
      `HTTPS_PROXY=${proxy}`,
      `HTTP_PROXY=${proxy}`,
      'NO_PROXY=localhost,127.0.0.1',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      `http_proxy=${proxy}`,
      `https_proxy=${proxy}`,
      'no_proxy=localhost,127.0.0.1',
    ];
    // Busybox' shell adds these itself
    const own = lines.slice(2).filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line));
    assert.deepEqual(own.sort(), expected.sort());
  });

  it('gives the app no proxy when nothing is allowed', async () => {
    const { log } = await runApp({
      argv: sh('env'),
      manifest: 'egress:\n  proxy_port: 10123\n  allow: []\n',
    });
    assert.ok(!linesOf(log, 'stdout').some((line) => /proxy/i.test(line)));
  });

  it('refuses what this release does not do instead of ignoring it', async () => {
    const sections: [string, RegExp][] = [
      ['ingress:\n  - listen_port: 8443\n    tls: {key_file: k, cert_file: c}\n', /TLS_FILE.*8443/],
      ['kms_proxy:\n  listen_port: 9999\n', /NSM_MISSING.*kms_proxy/],
      ['api:\n  listen_port: 7777\n', /NSM_MISSING.*"api"/],
    ];
    for (const [manifest, error] of sections) {
      const own = await FakeParent.make();
      const { finished } = await startOdyn(own, { argv: sh('echo started'), manifest });
      const status = await StatusReader.open(own);
      const [final, log] = await Promise.all([status.final(), readLog(own), finished]);
      assert.ok(final.status === 'fatal');
      assert.match(final.error, error);
      assert.deepEqual(linesOf(log, 'stdout'), []);
      await own.close();
    }
  });

  it('reports a manifest or launch description that cannot be read', async () => {
    const { final } = await runApp({ argv: ['x'], manifest: 'surprise: 1\n' });
    assert.ok(final.status === 'fatal');
    assert.match(final.error, /surprise/);
  });

  it('reports a user that the image does not have', async () => {
    const { final } = await runApp({ argv: sh('true'), user: 'nobody-here' });
    assert.ok(final.status === 'fatal');
    assert.match(final.error, /USER_UNKNOWN.*nobody-here/);
  });

  it('waits for a reader of the last word, but not for ever', async () => {
    const { finished } = await startOdyn(parent, { argv: sh('exit 0') }, { lastWordMs: 300 });
    await finished;
  });

  it('cuts a status client that sends what is no request', async () => {
    const { finished } = await startOdyn(parent, { argv: sh('sleep 1') });
    const status = await StatusReader.open(parent);
    const log = readLog(parent);
    const rude = await StatusReader.open(parent);
    rude.socket.write('{"command":"dance"}\n');
    await once(rude.socket, 'close');
    assert.deepEqual(await status.final(), { status: 'exited', code: 0 });
    await Promise.all([finished, log]);
  });
});
