import Docker from 'dockerode';
import * as z from 'zod';
import { CliError } from '../cli-error.ts';
import { containerConfig, type EnclaveOptions, type ImageConfig } from './container-config.ts';
import type { NitroParent } from './nitro-parent.ts';

/** Sent on to the command inside, which handles them as it would here. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

const imageSchema = z.object({
  Id: z.string(),
  Config: z.object({
    ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
  }),
});

/**
 * Runs a release image on Nitro as a container: shows what it writes, sends signals on, and gives its exit code. It is removed
 * when it ends. Throws `ENGINE_UNREACHABLE`, `ENGINE_ERROR`, `IMAGE_NOT_FOUND`, `USAGE`.
 */
export async function runReleaseContainer(name: string, options: EnclaveOptions, parent: NitroParent): Promise<number> {
  const docker = new Docker();
  const image = await inspect(docker, name);
  const container = await docker.createContainer(containerConfig(image, options, parent)).catch(failed('create'));
  const forward = (signal: NodeJS.Signals): void => {
    // A container that has just ended needs none
    void container.kill({ signal }).catch(() => undefined);
  };
  try {
    const output = await container.attach({ stream: true, stdout: true, stderr: true }).catch(failed('attach'));
    docker.modem.demuxStream(output, process.stdout, process.stderr);
    // Asked for before the start: afterwards it may be gone
    const ended = container.wait({ condition: 'removed' });
    for (const signal of SIGNALS) process.on(signal, forward);
    await container.start().catch(failed('start'));
    const { StatusCode } = z.object({ StatusCode: z.number() }).parse(await ended.catch(failed('wait')));
    return StatusCode;
  } catch (error) {
    await container.remove({ force: true }).catch(() => undefined);
    throw error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, forward);
  }
}

async function inspect(docker: Docker, name: string): Promise<ImageConfig> {
  const found = imageSchema.parse(await docker.getImage(name).inspect().catch(failed('inspect', name)));
  const { ExposedPorts, Labels } = found.Config;
  const exposed = Object.keys(ExposedPorts ?? {}).flatMap((port) =>
    Number(/^(\d+)\/tcp$/.exec(port)?.[1] ?? Number.NaN),
  );
  return {
    id: found.Id,
    exposed: exposed.filter(Number.isInteger),
    ours: Labels?.['io.enclaver.version'] !== undefined,
  };
}

/** The engine's errors as ours. */
function failed(doing: string, image?: string): (cause: unknown) => never {
  return (cause) => {
    const { statusCode, message } = cause as { statusCode?: number; message: string };
    if (statusCode === 404 && image !== undefined) {
      throw new CliError('IMAGE_NOT_FOUND', `the engine has no image ${image}`, `docker pull ${image}`, { cause });
    }
    if (statusCode === undefined) {
      const remedy = 'start one or set DOCKER_HOST; `enclaver up` runs enclaves without one';
      throw new CliError('ENGINE_UNREACHABLE', `no Docker Engine answers: ${message}`, remedy, { cause });
    }
    const remedy = 'look into the log of the Docker Engine; `enclaver up` runs enclaves without a container';
    throw new CliError('ENGINE_ERROR', `the Docker Engine failed (${doing}): ${message}`, remedy, { cause });
  };
}
