import { readFileSync } from 'node:fs';
import type { ConnectionLimits, PublishedPort, RestartPolicy } from '@enclaver/bus';
import type { ContainerCreateOptions } from 'dockerode';
import { CliError } from '../cli-error.ts';
import { formatLimits } from '../connection-limits.ts';
import { formatRestart } from '../restart-policy.ts';
import type { NitroParent } from './nitro-parent.ts';

/** Options of `enclaver run` that concern the enclave; the command inside gets the same. */
export interface EnclaveOptions {
  publish?: PublishedPort[];
  publishAll?: true;
  limit?: ConnectionLimits;
  cpuCount?: number;
  memoryMb?: number;
  debug?: true;
  name?: string;
  restart?: RestartPolicy;
  /** Milliseconds. */
  startTimeout?: number;
}

export interface ImageConfig {
  /** As the engine knows it. */
  id: string;
  /** TCP ports that the image says it listens at: the ingress of its manifest. */
  exposed: readonly number[];
  /** Built by this Enclaver, whose command has the same options; the original's knows less. */
  ours: boolean;
}

const SECCOMP = new URL('../../../deploy/compose/seccomp.json', import.meta.url);
/** Options that the command of the original has as well. */
const THEIRS = ['--cpu-count', '--memory-mb'];

/**
 * The container of a release image on Nitro. It gets the device and a seccomp profile that lets AF_VSOCK through, which the
 * engine's own refuses; the original makes it privileged for that. It takes all it has with it when it ends.
 */
export function containerConfig(
  image: ImageConfig,
  options: EnclaveOptions,
  parent: NitroParent,
): ContainerCreateOptions {
  const ports = publishedPorts(image, options);
  return {
    Image: image.id,
    Cmd: commandArguments(image, options),
    AttachStdout: true,
    AttachStderr: true,
    ...(parent.emulated === undefined ? {} : { Env: [`ENCLAVER_NITRO_EMULATED=${parent.emulated}`] }),
    ExposedPorts: Object.fromEntries(ports.map(({ listenPort }) => [`${listenPort}/tcp`, {}])),
    HostConfig: {
      AutoRemove: true,
      Devices:
        parent.emulated === undefined
          ? [{ PathOnHost: parent.device, PathInContainer: '/dev/nitro_enclaves', CgroupPermissions: 'rwm' }]
          : [],
      SecurityOpt: ['no-new-privileges', `seccomp=${readFileSync(SECCOMP, 'utf8')}`],
      PortBindings: bindings(ports),
      Binds: parent.emulated === undefined ? [] : [`${parent.emulated}:${parent.emulated}`],
    },
  };
}

function commandArguments({ ours }: ImageConfig, options: EnclaveOptions): string[] {
  const { cpuCount, memoryMb, debug, limit = {}, name, restart, startTimeout } = options;
  const values = Object.entries({
    '--cpu-count': cpuCount,
    '--memory-mb': memoryMb,
    '--name': name,
    '--restart': restart === undefined ? undefined : formatRestart(restart),
    '--start-timeout': startTimeout === undefined ? undefined : `${Math.ceil(startTimeout / 1000)}s`,
  });
  const bounds = formatLimits(limit).map((bound) => ['--limit', bound] as const);
  const given = [...values.filter(([, value]) => value !== undefined), ...bounds];
  const strange = given.find(([option]) => !ours && !THEIRS.includes(option));
  if (strange !== undefined) {
    const remedy = 'build it with this Enclaver, or start `enclaver up` first, which runs the enclave of any image';
    throw new CliError(
      'USAGE',
      `this image was not built by this Enclaver, and its command knows no ${strange[0]}`,
      remedy,
    );
  }
  const args = given.flatMap(([option, value]) => [option, String(value)]);
  return debug === true ? [...args, ours ? '--debug' : '--debug-mode'] : args;
}

/** As asked for, or each port of the image under its own number: as without a container. */
function publishedPorts({ exposed }: ImageConfig, { publish, publishAll }: EnclaveOptions): readonly PublishedPort[] {
  const host = publishAll === true ? '0.0.0.0' : '127.0.0.1';
  const ports: readonly PublishedPort[] =
    publish ?? exposed.map((listenPort) => ({ listenPort, host, port: listenPort }));
  if (ports.every(({ protocol = 'tcp', path }) => protocol === 'tcp' && path === undefined)) return ports;
  const remedy = 'start `enclaver up` first: its outer-proxy has both';
  throw new CliError('USAGE', 'a container publishes TCP ports, not HTTP and no Unix sockets', remedy);
}

function bindings(ports: readonly PublishedPort[]): Record<string, { HostIp: string; HostPort: string }[]> {
  const bound: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { listenPort, host, port } of ports) {
    bound[`${listenPort}/tcp`] = [...(bound[`${listenPort}/tcp`] ?? []), { HostIp: host, HostPort: String(port) }];
  }
  return bound;
}
