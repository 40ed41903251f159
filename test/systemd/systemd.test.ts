import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { busyboxLayer } from '../images/busybox.ts';
import { writeOciLayout } from '../images/image.ts';
import { tar } from '../images/tar.ts';
import { type Said, SystemdMachine } from './machine.ts';

const units = resolve(import.meta.dirname, '../../deploy/systemd');
const services = ['builder', 'log-relay', 'outer-proxy', 'supervisor'].map((name) => `enclaver-${name}.service`);
const enclaver = '/opt/enclaver/cli/bin/enclaver';

describe('systemd', function () {
  this.timeout(600_000);

  let work: string;
  let machine: SystemdMachine;
  let run: Promise<Said>;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-units-'));
    const page = tar([{ name: 'www/' }, { name: 'www/index.html', content: 'hello from a unit\n' }]);
    await writeOciLayout(join(work, 'image'), [
      {
        image: {
          layers: [await busyboxLayer(), page],
          config: { Env: ['PATH=/bin'], Cmd: ['/bin/busybox', 'httpd', '-f', '-p', '8080', '-h', '/www'] },
        },
      },
    ]);
    await writeFile(
      join(work, 'enclaver.yaml'),
      [
        'version: v1',
        'name: unit',
        'target: enclaver-test/unit:enclave',
        'sources: { app: "oci:image" }',
        'defaults: { cpu_count: 2, memory_mb: 512 }',
        'ingress: [{ listen_port: 8080 }]',
        '',
      ].join('\n'),
    );
    await promisify(execFile)('chmod', ['-R', 'a+rX', work]);
    machine = await SystemdMachine.boot(work);
  });

  after(async () => {
    await machine?.[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  const answer = () => machine.until(['curl', '--silent', '--show-error', '--fail', 'http://127.0.0.1:8080/'], /hello/);

  it('finds nothing wrong with the units', async () => {
    const names = (await readdir(units)).filter((name) => /\.(service|target)$/.test(name));
    assert.ok(names.length >= 8);
    const paths = names.map((name) => `/etc/systemd/enclaver/${name.replace('@.', '@my-app.')}`);
    const found = await machine.run('systemd-analyze', 'verify', '--man=no', ...paths);
    assert.deepEqual(found, { code: 0, stdout: '', stderr: '' });
  });

  it('has little exposed by its own measure', async () => {
    for (const service of [
      ...services,
      'enclaver-nats.service',
      'enclaver-bus-init.service',
      'enclaver-fleet-hub.service',
    ]) {
      await machine.do('systemd-analyze', 'security', '--threshold=30', '--no-pager', service);
    }
  });

  it('runs an enclave from an image to its answer, as a user of its own', async () => {
    const eif = '/var/lib/enclaver/unit.eif';
    await machine.until([enclaver, 'ps']);
    await machine.do(enclaver, 'build', '-f', '/srv/enclaver.yaml', '--eif-only', eif);
    run = machine.run(enclaver, 'run', eif, '-p', '127.0.0.1:8080:8080');
    await answer();
    const owners = await machine.do('ps', '-C', 'node,MainThread,nats-server,qemu-system-x86', '-o', 'user=');
    assert.deepEqual([...new Set(owners.split('\n').filter((line) => line !== ''))], ['enclaver', 'root']);
  });

  it('keeps the enclave while each service is started again, and killed', async () => {
    for (const service of [...services, 'enclaver-nats.service']) {
      await machine.do('systemctl', 'restart', service);
      await answer();
      await machine.do('systemctl', 'kill', '--kill-whom=main', '--signal=KILL', service);
      await machine.until(['systemctl', 'is-active', service]);
      await answer();
    }
    assert.match(await machine.until([enclaver, 'ps'], /unit/), /ready/);
  });

  it('leaves nothing running when the enclave and the target are stopped', async () => {
    await machine.do(enclaver, 'stop', 'unit');
    assert.equal((await run).code, 107, 'SIGTERM ended the app; the command saw it through all of that');
    await machine.do('systemctl', 'stop', 'enclaver.target');
    // The target's own stop does not wait for those of its services
    await machine.until(['sh', '-c', 'ps -u enclaver -o args=; ! pgrep -u enclaver >/dev/null']);
  });
});
