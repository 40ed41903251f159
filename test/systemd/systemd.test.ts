import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type Block, fencedBlocks } from '../docs/commands/markdown.ts';
import { busyboxLayer } from '../images/busybox.ts';
import { writeOciLayout } from '../images/image.ts';
import { tar } from '../images/tar.ts';
import { docker } from '../stack/engine.ts';
import { freePort } from '../stack/free-port.ts';
import { type Said, SystemdMachine } from './machine.ts';

const units = resolve(import.meta.dirname, '../../deploy/systemd');
const page = resolve(import.meta.dirname, '../../docs/deploy-systemd.md');
const services = ['builder', 'log-relay', 'outer-proxy', 'supervisor'].map((name) => `enclaver-${name}.service`);
const enclaver = '/opt/enclaver/cli/bin/enclaver';

describe('systemd', function () {
  this.timeout(600_000);

  let work: string;
  let machine: SystemdMachine;
  let run: Promise<Said>;
  let blocks: Block[];

  before(async () => {
    blocks = fencedBlocks(await readFile(page, 'utf8'));
    work = await mkdtemp(join(tmpdir(), 'enclaver-units-'));
    const files = tar([{ name: 'www/' }, { name: 'www/index.html', content: 'hello from a unit\n' }]);
    await writeOciLayout(join(work, 'image'), [
      {
        image: {
          layers: [await busyboxLayer(), files],
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

  const get = (url: string, wanted = /(?:)/) =>
    machine.until(['curl', '--silent', '--show-error', '--fail', url], wanted);
  const answer = () => get('http://127.0.0.1:8080/', /hello/);

  /** A block of the page: its language, heading, and something that stands in it. */
  function blockOf(language: string, heading: string, has = ''): string {
    const found = blocks.filter((block) => block.heading === heading && block.text.includes(has));
    const [block, ...more] = found.filter((each) => each.language === language);
    assert.ok(block !== undefined && more.length === 0, `one block ${language} in "${heading}" with "${has}"`);
    return block.text;
  }

  it('is set up by the commands of the page', async () => {
    const lines = blockOf('sh', 'The stack', 'enable').split('\n');
    const rest = lines.filter((line) => !line.includes('cp -a'));
    // The machine has this checkout there already
    assert.equal(rest.length, lines.length - 1);
    await machine.script(rest.join('\n'));
    await machine.until(blockOf('sh', 'The stack', 'enclaver ps').trim().split(' '), /^ID /);
    const enabled = await machine.do('systemctl', 'is-enabled', 'enclaver.target', 'enclaver-nats', ...services);
    assert.deepEqual(new Set(enabled.trim().split('\n')), new Set(['enabled']));
  });

  it('finds nothing wrong with the units', async () => {
    const names = (await readdir(units)).filter((name) => /\.(service|target)$/.test(name));
    assert.ok(names.length >= 8);
    const paths = names.map((name) => `/etc/systemd/system/${name.replace('@.', '@my-app.')}`);
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

  it('takes a drop-in of `systemctl edit`', async () => {
    const dropIn = blockOf('ini', 'Changes', 'ENCLAVER_HTTP');
    const [, address] = /ENCLAVER_HTTP=(\S+)/.exec(dropIn) ?? [];
    await machine.do('bash', '-c', 'cat >/tmp/drop-in <<<"$1"', 'bash', dropIn);
    // It edits at a terminal only
    const edit = 'SYSTEMD_EDITOR="cp /tmp/drop-in" script --quiet --return --command "systemctl edit $1" /dev/null';
    await machine.do('bash', '-c', edit, 'bash', 'enclaver-builder');
    await machine.do('systemctl', 'restart', 'enclaver-builder');
    await get(`http://${address}/readyz`);
    await answer();
  });

  it('becomes part of a fleet, with the hub as a unit, and keeps the enclave', async () => {
    await machine.do(enclaver, 'fleet', 'init', '127.0.0.1', 'red');
    await machine.do('chown', '-R', 'enclaver:', '/etc/enclaver/fleet');
    await machine.do('systemctl', 'enable', '--now', 'enclaver-fleet-hub');
    const [, option, restart] =
      /`\/etc\/enclaver\/bus\.env` \| `(BUS_INIT_OPTIONS=\S+)` .* `(systemctl restart [^`]+)`/.exec(
        await readFile(page, 'utf8'),
      ) ?? [];
    assert.ok(option !== undefined && restart !== undefined);
    await machine.script(`echo '${option}' >/etc/enclaver/bus.env`);
    await machine.do(
      'install',
      '-o',
      'enclaver',
      '-m',
      '600',
      '/etc/enclaver/fleet/hosts/red.json',
      option.slice(option.indexOf('/')),
    );
    await machine.script(restart);
    await machine.until([enclaver, 'ps', '--fleet'], /^red +e-[0-9a-f]{12} +unit +ready/m);
    await answer();
  });

  it('leaves nothing running when the enclave and the target are stopped', async () => {
    await machine.do(enclaver, 'stop', 'unit');
    assert.equal((await run).code, 107, 'SIGTERM ended the app; the command saw it through all of that');
    await machine.do('systemctl', 'stop', 'enclaver.target', 'enclaver-fleet-hub');
    // The target's own stop does not wait for those of its services
    await machine.until(['sh', '-c', 'ps -u enclaver -o args=; ! pgrep -u enclaver >/dev/null']);
  });

  it('starts a release image by the unit of the page, starts it again after a failure, and stops it in order', async () => {
    const name = `my-app-${process.pid}`;
    const port = await freePort();
    // In the place of an enclave: `enclaver run` ends with 109, too, when it is asked to
    const app = ['/bin/sh', '-c', 'trap "exit 109" TERM; sleep 600 & wait'];
    const made = (await docker(['create', 'enclaver-test/busybox:local', ...app])).trim();
    await docker(['commit', made, `enclaver-test/${name}:enclave`]);
    await docker(['rm', made]);
    try {
      await machine.script(blockOf('sh', 'One release image', 'daemon-reload'));
      const settings = blockOf('ini', 'One release image')
        .replace('my-app:enclave', `enclaver-test/${name}:enclave`)
        .replace('8080:8080', `127.0.0.1:${port}:8080`);
      await machine.do('bash', '-c', 'cat >"$1" <<<"$2"', 'bash', `/etc/enclaver/${name}.env`, settings);
      await machine.script(blockOf('sh', 'One release image', 'enable').replace('@my-app', `@${name}`));
      const inspect = [
        '/usr/bin/docker',
        'inspect',
        '--format',
        '{{.Id}} {{.State.Running}} {{json .HostConfig.PortBindings}}',
      ];
      const first = await machine.until([...inspect, `enclave-${name}`], / true /);
      assert.ok(first.includes(`"8080/tcp":[{"HostIp":"127.0.0.1","HostPort":"${port}"}]`));
      await machine.do('/usr/bin/docker', 'kill', `enclave-${name}`);
      await machine.until([...inspect, `enclave-${name}`], new RegExp(`^(?!${first.split(' ')[0]}).* true `));
      await machine.do('systemctl', 'stop', `enclave@${name}`);
      const left = await machine.do('systemctl', 'show', '--property=ActiveState,ExecMainStatus', `enclave@${name}`);
      assert.equal(left, 'ExecMainStatus=109\nActiveState=inactive\n');
      assert.equal((await machine.run(...inspect, `enclave-${name}`)).code, 1);
    } finally {
      await docker(['rm', '--force', `enclave-${name}`]);
      await docker(['image', 'rm', `enclaver-test/${name}:enclave`]);
    }
  });
});
