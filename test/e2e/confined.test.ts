import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileC } from '../../odyn/build/compile-c.ts';
import { busyboxLayer } from '../images/busybox.ts';
import { writeOciLayout } from '../images/image.ts';
import { tar } from '../images/tar.ts';
import { enclaver } from '../stack/enclaver.ts';
import { TestStack } from '../stack/stack.ts';

/** What an app that is root and knows no proxy gets when it goes out as programs do, and when it tries to go past odyn. */
const app = (port: number): string => `
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
say() { echo "== $*"; }
timed() { start=$(cut -d' ' -f1 /proc/uptime | tr -d .); "$@" 2>&1; echo "code $?"
  end=$(cut -d' ' -f1 /proc/uptime | tr -d .); [ $((end - start)) -lt 300 ] || echo "took too long"; }
for name in cut tr nc wget ping nslookup; do alias $name="busybox $name"; done
say name; timed busybox wget -qO- http://host:${port}/by-name
say other port; timed busybox wget -qO- http://host:1/
say address; timed busybox wget -qO- http://192.0.2.1/
say address 6; timed busybox wget -qO- http://[2001:db8::1]/
say refused name; timed busybox wget -qO- http://example.org/
say unreachable; timed busybox wget -qO- http://[100::1]/
say udp; echo x | timed busybox nc -u 192.0.2.1 53
say ping; timed busybox ping -c 1 192.0.2.1
say escape; probe escape 1
say end
`;

describe('an app that is root and knows no proxy, in an enclave', function () {
  this.timeout(240_000);
  let work: string;
  let stack: TestStack;
  let web: Server;
  let seen: Map<string, string>;
  let log: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    stack = await TestStack.start();
    web = createServer((request, response) => response.end(`you asked ${request.url}\n`)).listen(0, '127.0.0.1');
    await once(web, 'listening');
    const { port } = web.address() as AddressInfo;
    await compileC(join(import.meta.dirname, '../../odyn/test/init'), ['probe.c'], join(work, 'probe'));
    const probe = tar([{ name: 'bin/probe', mode: 0o755, content: await readFile(join(work, 'probe')) }]);
    const config = { Env: ['PATH=/bin'], Cmd: ['sh', '-c', app(port)] };
    await writeOciLayout(join(work, 'image'), [{ image: { layers: [await busyboxLayer(), probe], config } }]);
    const manifest = [
      'version: v1\nname: confined\ntarget: confined:enclave\nsources:\n  app: oci:./image',
      `egress: { transparent: true, allow: ["host:${port}", "100::/64", "**.com"] }`,
      'defaults: { cpu_count: 1, memory_mb: 768 }\n',
    ].join('\n');
    await writeFile(join(work, 'enclaver.yaml'), manifest);
    const eif = join(work, 'confined.eif');
    const built = await enclaver(['build', '-f', join(work, 'enclaver.yaml'), '--eif-only', eif], stack.env);
    assert.equal(built.code, 0, built.stderr);
    const { code, stdout, stderr } = await enclaver(['run', eif], stack.env);
    assert.equal(code, 0, stderr + stdout);
    const [id = ''] = /\be-[0-9a-f]+\b/.exec(stderr) ?? [];
    const logs = await enclaver(['logs', '--debug', id], stack.env);
    log = logs.stdout + logs.stderr;
    seen = new Map(
      stdout
        .split(/^== /m)
        .slice(1)
        .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
    );
  });

  after(async () => {
    web?.close();
    await stack?.[Symbol.asyncDispose]();
    await rm(work, { recursive: true, force: true });
  });

  const part = (name: string): string => {
    const text = seen.get(name) ?? assert.fail(`the app did not say ${name}`);
    assert.doesNotMatch(text, /took too long/);
    return text;
  };

  it('reaches by name what is allowed', () => assert.equal(part('name'), `you asked /by-name\ncode 0\n`));

  it('is refused at once where nothing is allowed, by name, by port and by address', () => {
    for (const name of ['other port', 'address', 'address 6']) assert.match(part(name), /code 1/, name);
    assert.match(part('refused name'), /bad address/);
  });

  it('is refused at once what the parent cannot reach, other protocols included', () => {
    assert.match(part('unreachable'), /code 1/);
    assert.match(part('ping'), /Network is unreachable/);
    assert.match(part('udp'), /code/);
  });

  it('cannot go past odyn', () => {
    const { EACCES, EAFNOSUPPORT, EPERM, EROFS } = constants.errno;
    const tries = JSON.parse(part('escape')) as Record<string, number>;
    const expected = { vsock: EAFNOSUPPORT, tcp: 0, io_uring: EPERM, trace: EPERM, memory: EACCES, root: EACCES };
    for (const [name, errno] of Object.entries({ ...expected, descriptor: EPERM, sysctl: EROFS, sysfs: EROFS }))
      assert.equal(tries[name], errno, name);
  });

  it('is told in the log by which rule', () => {
    assert.match(log, /egress refused.*192\.0\.2\.1:80.*no allow rule/);
    assert.match(log, /egress refused.*2001:db8::1\]:80.*no allow rule/);
    assert.match(log, /egress refused.*example\.org.*no allow rule/);
    assert.match(log, /egress failed.*100::1\]:80/);
  });
});
