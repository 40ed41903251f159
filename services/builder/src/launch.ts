import { constants } from 'node:os';
import { type LaunchDescription, launchDescriptionSchema } from '@enclaver/wire';
import * as z from 'zod';
import { BuilderError } from './builder-error.ts';
import type { ImageConfig } from './image/image-config.ts';

/** First and last real-time signal of Linux as C libraries count them (`signal(7)`: two are the library's own). */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** How to start an image's app: ENTRYPOINT followed by CMD, as container engines join them. Throws IMAGE_NO_COMMAND, IMAGE_INVALID. */
export function launchDescription({ config }: ImageConfig, shown: string): LaunchDescription {
  const argv = [...config.Entrypoint, ...config.Cmd];
  if (argv.length === 0) {
    throw new BuilderError('IMAGE_NO_COMMAND', `${shown} has neither ENTRYPOINT nor CMD: nothing says what to start`, {
      remedy: 'add ENTRYPOINT or CMD to its Dockerfile and build it again',
    });
  }
  const result = launchDescriptionSchema.safeParse({
    version: 1,
    argv,
    env: config.Env,
    user: config.User,
    workdir: config.WorkingDir === '' ? '/' : config.WorkingDir,
    stopSignal: signalName(config.StopSignal),
  });
  if (!result.success) {
    throw new BuilderError('IMAGE_INVALID', `${shown} cannot be started: ${z.prettifyError(result.error)}`, {
      remedy: 'correct ENV, WORKDIR, USER or STOPSIGNAL of its Dockerfile and build it again',
    });
  }
  return result.data;
}

/** A name with SIG, whatever form the image uses: `SIGTERM`, `term`, `15`, `RTMIN+3`. */
function signalName(text: string): string {
  if (text === '') return 'SIGTERM';
  if (!/^\d+$/.test(text)) return text.toUpperCase().replace(/^(SIG)?/, 'SIG');
  const number = Number(text);
  if (number >= SIGRTMIN && number <= SIGRTMAX) return `SIGRTMIN+${number - SIGRTMIN}`;
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? text;
}
