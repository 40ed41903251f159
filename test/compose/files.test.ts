import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { docker } from '../stack/engine.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Service {
  image: string;
  build?: unknown;
  pull_policy?: string;
  privileged?: boolean;
  read_only: boolean;
  user: string;
  cap_drop: string[];
  cap_add?: string[];
  security_opt: string[];
  group_add?: string[];
  devices?: { source: string; target: string }[];
  environment?: Record<string, string>;
  tmpfs?: string[];
}

/** What Compose makes of the files together; nothing is started. */
async function composed(files: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Record<string, Service>> {
  const all = ['docker-compose.yml', ...files].flatMap((file) => ['-f', join(root, file)]);
  const text = await docker(['compose', '--profile', '*', ...all, 'config', '--format', 'json'], env);
  return JSON.parse(text).services;
}

describe('files for Docker Compose', () => {
  const withVsock = ['supervisor', 'outer-proxy', 'outer-proxy-2', 'log-relay'];

  it('confine each container, and give AF_VSOCK to those alone that need it', async () => {
    for (const [name, service] of Object.entries(await composed([]))) {
      assert.equal(service.privileged ?? false, false, name);
      assert.deepEqual([service.read_only, service.cap_drop], [true, ['ALL']], name);
      const vsock = withVsock.includes(name) ? ['seccomp:deploy/compose/seccomp.json'] : [];
      assert.deepEqual(service.security_opt, ['no-new-privileges:true', ...vsock], name);
      assert.equal(service.devices, undefined, name);
      // Nobody publishes these: what a registry has under their names is somebody else's
      assert.equal(service.pull_policy, service.build === undefined ? undefined : 'never', name);
    }
    const profile = JSON.parse(read('deploy/compose/seccomp.json'));
    const refused = profile.syscalls.flatMap(({ names }: { names: string[] }) => names);
    assert.equal(profile.defaultAction, 'SCMP_ACT_ALLOW');
    assert.ok(refused.includes('ptrace') && !refused.includes('socket'));
  });

  it('kvm.yml gives the supervisor the devices of KVM and their group, and no more than that', async () => {
    const { supervisor: plain, ...others } = await composed([]);
    const { supervisor, ...unchanged } = await composed(['deploy/compose/kvm.yml'], { KVM_GID: '107' });
    const device = (path: string) => ({ source: path, target: path, permissions: 'rwm' });
    const devices = [device('/dev/kvm'), device('/dev/vhost-vsock')];
    assert.deepEqual(supervisor, { ...plain, devices, group_add: ['107'] });
    assert.deepEqual(unchanged, others);
    await assert.rejects(composed(['deploy/compose/kvm.yml']), /KVM_GID is missing a value: the group of \/dev\/kvm/);
  });

  it('nitro.yml gives it the device of Nitro Enclaves, its group and the folders of nitro-cli, and no more than that', async () => {
    const { supervisor: plain, ...others } = await composed([]);
    const env = { NE_GID: '990', ENCLAVER_NITRO_IMAGE: 'my/supervisor' };
    const { supervisor, ...unchanged } = await composed(['deploy/compose/nitro.yml'], env);
    const { build: _, ...rest } = plain as Service;
    const path = '/dev/nitro_enclaves';
    assert.deepEqual(supervisor, {
      ...rest,
      image: 'my/supervisor',
      pull_policy: 'missing',
      devices: [{ source: path, target: path, permissions: 'rwm' }],
      group_add: ['990'],
      environment: { ...rest.environment, ENCLAVER_BACKEND: 'nitro' },
      tmpfs: [...(rest.tmpfs ?? []), ...FOLDERS_OF_NITRO_CLI],
    });
    assert.deepEqual(unchanged, others);
    await assert.rejects(composed(['deploy/compose/nitro.yml'], { ...env, NE_GID: '' }), /NE_GID is missing a value/);
  });

  it('give an image nothing that is not of the project, nor what its build made', () => {
    const [first, ...patterns] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    assert.equal(first, '*');
    const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n');
    const ours = new Set(['dist', 'node_modules', ...tracked.map((path) => path.split('/')[0])]);
    for (const pattern of patterns.filter((each) => each.startsWith('!')))
      assert.ok(ours.has(pattern.slice(1)), pattern);
  });

  it('take the settings that docs/deploy-compose.md lists, with these defaults, and no others', () => {
    const files = ['docker-compose.yml', 'deploy/compose/kvm.yml', 'deploy/compose/nitro.yml'].map(read).join('\n');
    const inFiles = [...files.matchAll(/\$\{(\w+)(?::-([^}]*))?/g)].map(([, name = '', value]) => ({ name, value }));
    const page = read('docs/deploy-compose.md');
    for (const { name, value } of inFiles) {
      // Those without a default are asked for by a file of their own
      if (value === undefined) {
        assert.ok(page.includes(`${name}=`), name);
        continue;
      }
      const [, service = ''] = /^ENCLAVER_(.*)_HTTP$/.exec(name) ?? [];
      const listed =
        service === '' ? `\`${name}\`` : 'ENCLAVER_{SUPERVISOR,OUTER_PROXY,LOG_RELAY,BUILDER,WEBHOOKS}_HTTP';
      assert.ok(page.includes(listed) && listed.includes(service), name);
      assert.ok(page.includes(service === '' ? value : '9464 to 9468'), `${name}: ${value}`);
    }
  });
});

const FOLDERS_OF_NITRO_CLI = ['/run/nitro_enclaves:mode=1777,size=1m', '/var/log/nitro_enclaves:mode=1777,size=16m'];
