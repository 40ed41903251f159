import assert from 'node:assert/strict';
import { containerConfig } from '../src/release-container/container-config.ts';
import { nitroParent } from '../src/release-container/nitro-parent.ts';

const image = { id: 'sha256:1', exposed: [8080, 8443], ours: true };
const parent = { device: '/dev/nitro_enclaves', emulated: undefined };

describe('the container of a release image', () => {
  it('gets the device and AF_VSOCK, and no privilege', () => {
    const { HostConfig, Cmd } = containerConfig(image, {}, parent);
    assert.deepEqual(HostConfig?.Devices, [
      { PathOnHost: '/dev/nitro_enclaves', PathInContainer: '/dev/nitro_enclaves', CgroupPermissions: 'rwm' },
    ]);
    assert.equal(HostConfig?.Privileged, undefined);
    const [, seccomp = ''] = HostConfig?.SecurityOpt ?? [];
    const profile = JSON.parse(seccomp.replace(/^seccomp=/, ''));
    assert.equal(profile.defaultAction, 'SCMP_ACT_ALLOW');
    assert.ok(!profile.syscalls.some(({ names }: { names: string[] }) => names.includes('socket')));
    assert.deepEqual(Cmd, []);
  });

  it('publishes what it exposes on loopback, or what it is told', () => {
    const bound = (options: Parameters<typeof containerConfig>[1]) =>
      containerConfig(image, options, parent).HostConfig?.PortBindings;
    assert.deepEqual(bound({}), {
      '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }],
      '8443/tcp': [{ HostIp: '127.0.0.1', HostPort: '8443' }],
    });
    assert.deepEqual(bound({ publishAll: true })['8443/tcp'], [{ HostIp: '0.0.0.0', HostPort: '8443' }]);
    const twice = [
      { listenPort: 8080, host: '::1', port: 1 },
      { listenPort: 8080, host: '127.0.0.1', port: 0 },
    ];
    assert.deepEqual(bound({ publish: twice }), {
      '8080/tcp': [
        { HostIp: '::1', HostPort: '1' },
        { HostIp: '127.0.0.1', HostPort: '0' },
      ],
    });
    const http = [{ listenPort: 8080, host: '0.0.0.0', port: 80, protocol: 'http' as const }];
    assert.throws(() => bound({ publish: http }), { code: 'USAGE', remedy: /enclaver up/ });
    const socket = [{ listenPort: 8080, host: '127.0.0.1', port: 0, path: '/run/app.sock' }];
    assert.throws(() => bound({ publish: socket }), { code: 'USAGE', message: /no Unix sockets/ });
  });

  it('gives the command inside the same options', () => {
    const restart = { policy: 'on-failure', max: 3 } as const;
    const options = {
      cpuCount: 2,
      memoryMb: 900,
      name: 'a',
      restart,
      startTimeout: 60_000,
      limit: { egressBytesPerSecond: 10 * 1024 ** 2, ingressConnections: 500 },
    };
    const { Cmd } = containerConfig(image, options, parent);
    assert.deepEqual(Cmd, [
      ...[
        '--cpu-count',
        '2',
        '--memory-mb',
        '900',
        '--name',
        'a',
        '--restart',
        'on-failure:3',
        '--start-timeout',
        '60s',
      ],
      ...['--limit', 'ingress-connections=500', '--limit', 'egress-bytes=10485760'],
    ]);
  });

  it('speaks to an image of the original in its own words', () => {
    const theirs = { ...image, ours: false };
    assert.deepEqual(containerConfig(theirs, { debug: true }, parent).Cmd, ['--debug-mode']);
    assert.throws(() => containerConfig(theirs, { name: 'a' }, parent), { code: 'USAGE' });
  });

  it('is only where there is Nitro, and not where another backend is chosen', () => {
    assert.equal(nitroParent({ ENCLAVER_NITRO_EMULATED: '/no/such' }), undefined);
    assert.equal(nitroParent({ ENCLAVER_BACKEND: 'qemu', ENCLAVER_NITRO_EMULATED: '/no/such' }), undefined);
  });
});
