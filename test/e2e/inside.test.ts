import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyDocument } from '@enclaver/attestation';
import { readEif } from '@enclaver/eif';
import { busyboxLayout } from '../images/busybox.ts';
import { enclaver } from '../stack/enclaver.ts';
import { TestStack } from '../stack/stack.ts';

/** What the app finds around it, each under a heading of its own; it has outlived all that it did before its last line. */
const APP = String.raw`
say() { echo "== $*"; }
say hosts; cat /etc/hosts
say hostname; cat /etc/hostname; busybox hostname
say resolv.conf; cat /etc/resolv.conf
say lookup; busybox nslookup example.com 2>&1
say memory.max; cat /sys/fs/cgroup/memory.max
say pids.max; cat /sys/fs/cgroup/pids.max
say cgroup; cat /proc/self/cgroup
say open files; ulimit -n; ulimit -Hn
say raise; (echo max > /sys/fs/cgroup/memory.max) 2>&1; cat /sys/fs/cgroup/memory.max
say api; printf 'GET /v1/pcrs/16 HTTP/1.0\r\n\r\n' | busybox nc 127.0.0.1 7777
say document; printf 'GET /v1/attestation HTTP/1.0\r\n\r\n' | busybox nc 127.0.0.1 7777 | busybox base64
say debugger; for p in $(busybox pidof node); do kill -USR1 $p; done; sleep 1; busybox pidof node | busybox wc -w
say tcp; cat /proc/net/tcp /proc/net/tcp6
say udp; cat /proc/net/udp /proc/net/udp6
say fork bomb; (i=0; while [ $i -lt 200 ]; do sleep 3 & i=$((i+1)); done) 2>&1 | busybox tail -n 1
sleep 4
say hog; busybox dd if=/dev/zero of=/dev/null bs=300M count=1 2>&1; echo "code $?"
say events; cat /sys/fs/cgroup/memory.events
exec busybox dd if=/dev/zero of=/dev/null bs=300M count=1
`;

describe('what an app finds inside an enclave', function () {
  this.timeout(240_000);
  let work: string;
  let stack: TestStack;
  let seen: Map<string, string>;
  let end: string;
  let eif: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    stack = await TestStack.start();
    await busyboxLayout(join(work, 'image'), ['sh', '-c', APP]);
    const manifest = [
      'version: v1\nname: inside\ntarget: inside:enclave\nsources:\n  app: oci:./image',
      'api: { listen_port: 7777 }',
      'egress: { allow: ["example.com"] }',
      'limits: { memory_mb: 64, pids: 32, open_files: 500 }',
      'defaults: { cpu_count: 1, memory_mb: 768 }\n',
    ].join('\n');
    await writeFile(join(work, 'enclaver.yaml'), manifest);
    eif = join(work, 'inside.eif');
    const built = await enclaver(['build', '-f', join(work, 'enclaver.yaml'), '--eif-only', eif], stack.env);
    assert.equal(built.code, 0, built.stderr);
    const { code, stdout, stderr } = await enclaver(['run', eif], stack.env);
    assert.equal(code, 107, stderr + stdout);
    end = stderr;
    seen = new Map(
      stdout
        .split(/^== /m)
        .slice(1)
        .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
    );
  });

  after(async () => {
    await stack?.[Symbol.asyncDispose]();
    await rm(work, { recursive: true, force: true });
  });

  const part = (name: string): string => seen.get(name) ?? assert.fail(`the app did not say ${name}`);

  it('is its name, and a resolver that answers at once or not at all', () => {
    assert.match(part('hosts'), /^127\.0\.0\.1\tlocalhost enclave$/m);
    assert.equal(part('hostname'), 'enclave\nenclave\n');
    assert.equal(part('resolv.conf'), 'nameserver 127.0.0.1\n');
    assert.match(part('lookup'), /refused|can't/i);
  });

  it('are the bounds of the manifest, which it cannot widen', () => {
    assert.equal(part('memory.max'), `${64 * 1024 * 1024}\n`);
    assert.equal(part('pids.max'), '32\n');
    assert.equal(part('cgroup'), '0::/\n');
    assert.equal(part('open files'), '500\n500\n');
    assert.match(part('raise'), new RegExp(`Read-only file system\n${64 * 1024 * 1024}\n$`));
  });

  it('is the attestation API', () => {
    const body = part('api').split('\r\n\r\n')[1] ?? '';
    assert.deepEqual(JSON.parse(body), { index: 16, locked: false, value: '00'.repeat(48) });
  });

  it('is a document about this image, under the root that the command prints', async () => {
    const { stdout: root } = await enclaver(['attest', 'root'], stack.env);
    const answer = Buffer.from(part('document'), 'base64');
    const document = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
    const { pcrs } = await verifyDocument(document, { at: new Date(), roots: [new X509Certificate(root).raw] });
    const { PCR0, PCR1, PCR2 } = (await readEif(eif)).measurements;
    const registers = [0, 1, 2].map((index) => Buffer.from(pcrs.get(index) ?? []).toString('hex'));
    assert.deepEqual(registers, [PCR0, PCR1, PCR2]);
  });

  it('are no listeners but those of the manifest, even after a signal that opens a debugger in Node', () => {
    assert.equal(part('debugger'), '1\n');
    const listening = [...part('tcp').matchAll(/^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A /gm)].map(
      ([, address, port = '']) => `${address}:${Number.parseInt(port, 16)}`,
    );
    assert.deepEqual(listening.sort(), ['0100007F:10000', '0100007F:7777']);
    assert.doesNotMatch(part('udp'), /^ *\d+: /m);
  });

  it('is an end for what takes too much, while the app and odyn go on', () => {
    assert.match(part('fork bomb'), /can't fork|Resource temporarily unavailable/);
    assert.match(part('hog'), /^code 137$/m);
    assert.match(part('events'), /^oom_kill [1-9]/m);
  });

  it('ends, when it takes too much memory, with that as the cause and not just a signal', () => {
    const cause =
      /exited: killed by SIGKILL, out-of-memory: the kernel ended process \d+ \(\w+\) of the app for want of memory/;
    assert.match(end, cause);
  });
});
