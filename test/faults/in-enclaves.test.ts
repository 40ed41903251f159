import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type EnclaveEvent } from '@enclaver/bus';
import { busyboxLayout } from '../images/busybox.ts';
import { enclaver, type Running, start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { TestStack } from '../stack/stack.ts';
import { Clients } from './clients.ts';

const BLOB = Buffer.alloc(256 * 1024, 'y\n');
/** Within that long an enclave's end is told, and that of one whose device is silent: it is asked three times, for 10 s each. */
const [TOLD_MS, SILENT_MS] = [15_000, 60_000];

/**
 * Serves, writes numbered lines, and does to the enclave what it is asked for; it is privileged, and so can. What the kernel keeps free is
 * more and more until odyn is ended for it, and no more then: init has to live on.
 */
const APP = String.raw`
busybox mkdir -p /www/cgi-bin
busybox yes | busybox head -c ${BLOB.length} >/www/blob
fault() { printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\n%s\n' "$2" >/www/cgi-bin/$1; busybox chmod 755 /www/cgi-bin/$1; }
fault app 'echo >/tmp/hog'
fault kernel 'echo c >/proc/sysrq-trigger'
fault odyn 'odyn=/proc/$(busybox pidof node); echo 1000 >$odyn/oom_score_adj; set -- $(busybox grep MemFree /proc/meminfo); n=$2
while [ -e $odyn/exe ]; do n=$((n + 2048)); echo $n >/proc/sys/vm/min_free_kbytes; busybox true; done'
busybox httpd -p 127.0.0.1:8000 -h /www
i=0
while [ ! -e /tmp/hog ]; do echo "line $i"; i=$((i + 1)); sleep 0.05; done
exec busybox dd if=/dev/zero of=/dev/null bs=300M count=1
`;

interface Fault {
  readonly name: string;
  /** Does it to the enclave with this port and id; or what the app has for it. */
  readonly strike: string | ((id: string) => void);
  /** How its end is told. */
  readonly ends: RegExp;
  /** Nothing is cut by it: requests under way hang, and it is found by asking alone. */
  readonly silent?: true;
}

/** As when Debian's vhost-device-vsock has lost its worker: open connections stay so, and no other is taken. */
function freezeDevice(id: string): void {
  const [pid] = execFileSync('pgrep', ['-f', `vhost-device-vsock.*${id}`], { encoding: 'utf8' }).split('\n');
  process.kill(Number(pid), 'SIGSTOP');
}

/** With FAULTS in the environment, as in `scripts/nightly`, all of it. */
const FAULTS: readonly Fault[] = [
  { name: 'kernel panic', strike: 'kernel', ends: /^lost .*"code":"KERNEL_PANIC"/ },
  ...(process.env.FAULTS === undefined
    ? []
    : [{ name: 'memory limit hit by the app', strike: 'app', ends: /^exited .*"cause":"out-of-memory"/ }]),
  {
    name: 'no memory for odyn',
    strike: 'odyn',
    ends: /^failed .*odyn crashed: killed by signal 9 \(Killed\), out of memory/,
  },
  { name: 'vsock device hangs', strike: freezeDevice, ends: /^lost .*"code":"STATUS_SILENT"/, silent: true },
];

describe('faults inside an enclave, under load', function () {
  this.timeout(400_000);

  let work: string;
  let stack: TestStack;
  let bus: Bus;
  const runs: Running[] = [];
  const clients: Clients[] = [];

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-faults-'));
    stack = await TestStack.start();
    bus = await Bus.connect({ source: 'test', credentials: stack.busFile });
  });

  after(async () => {
    for (const each of clients) await each.stop();
    for (const { process } of runs) process.kill('SIGTERM');
    await Promise.all(runs.map(({ finished }) => finished));
    await bus?.close();
    await stack?.[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  it('end it with their cause, it comes back, and the one beside it loses nothing', async () => {
    await busyboxLayout(join(work, 'image'), ['sh', '-c', APP]);
    const manifest = [
      'version: v1\nname: struck\ntarget: struck:enclave\nsources:\n  app: oci:./image',
      'ingress: [{ listen_port: 8000 }]',
      'privileged: true',
      'limits: { memory_mb: 64 }',
      'defaults: { cpu_count: 1, memory_mb: 768 }\n',
    ].join('\n');
    await writeFile(join(work, 'enclaver.yaml'), manifest);
    const eif = join(work, 'struck.eif');
    const built = await enclaver(['build', '-f', join(work, 'enclaver.yaml'), '--eif-only', eif], stack.env);
    assert.equal(built.code, 0, built.stderr);

    const seen: EnclaveEvent[] = [];
    const events = bus.events();
    await events.ready;
    void (async () => {
      for await (const event of events) seen.push(event);
    })();
    const open = async (name: string, ...more: string[]) => {
      const port = await freePort();
      const run = start(['run', eif, '--name', name, '-p', `127.0.0.1:${port}:8000`, ...more], stack.env);
      runs.push(run);
      await run.seen(/ ready/);
      const fetching = new Clients({ port, expected: BLOB, count: 2 });
      clients.push(fetching);
      await fetching.answered(2);
      return { port, fetching };
    };
    const [struck, beside] = await Promise.all([open('struck', '--restart', 'on-failure:5'), open('beside')]);

    const newest = (name: string): string =>
      seen.findLast((event) => event.name === 'requested' && event.data.enclave.name === name)?.id ?? '';
    for (const { name, strike, ends, silent = false } of FAULTS) {
      const since = seen.length;
      const before = struck.fetching.failures.length;
      const answersBeside = beside.fetching.requests;
      const begun = performance.now();
      if (typeof strike === 'function') strike(newest('struck'));
      else await fetch(`http://127.0.0.1:${struck.port}/cgi-bin/${strike}`).catch(() => undefined);
      const ended = () => seen.slice(since).find(({ name: event }) => /^(exited|lost|failed)$/.test(event));
      while (ended() === undefined) {
        assert.ok(performance.now() - begun < (silent ? SILENT_MS : TOLD_MS), `${name} is not told`);
        await sleep(20);
      }
      const toldMs = performance.now() - begun;
      const told = ended() as EnclaveEvent;
      assert.match(`${told.name} ${JSON.stringify(told.data)}`, ends);
      await struck.fetching.answered(2);
      const healthyMs = performance.now() - begun;
      const failures = struck.fetching.failures.slice(before);
      assert.doesNotMatch(failures.join(), silent ? /wrong bytes/ : /wrong bytes|no answer/);
      assert.ok(beside.fetching.requests > answersBeside);
      const failed = failures.filter((message) => !message.includes('ECONNREFUSED')).length;
      process.stdout.write(`| ${name} | ${failed} | ${Math.round(toldMs)} ms | ${Math.round(healthyMs)} ms |\n`);
    }

    assert.deepEqual(beside.fetching.failures, []);
    // Of each that was started: what an enclave that is lost had not yet given is lost with it, and nothing in between
    for (const { id } of seen.filter(({ name }) => name === 'requested')) {
      let next = 0;
      for await (const { lines, lost } of bus.logs({ id, streams: ['stdout'] })) {
        assert.equal(lost, undefined);
        for (const { text } of lines) assert.equal(text, `line ${next++}`);
      }
    }
  });
});
