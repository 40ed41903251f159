import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { getSystemErrorMap, getSystemErrorMessage } from 'node:util';
import { signalNameOf } from '@enclaver/wire';
import type { AppEnd } from '../events.ts';
import { OdynError } from '../odyn-error.ts';
import { addon } from '../system/addon.ts';
import { unlessOutOfDescriptors } from '../system/descriptors.ts';
import type { Account } from './accounts.ts';
import type { AppCgroup } from './app-cgroup.ts';
import { type EndCause, outOfMemory } from './end-cause.ts';

export interface AppOptions {
  /** The starter, `/odyn/launch`. */
  readonly launchPath: string;
  readonly root: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly account: Account;
  readonly stopSignal: number;
  /** Not confined: with all of root's capabilities, and vsock sockets. */
  readonly privileged: boolean;
  /** What bounds the app and all it starts, where the kernel has it. */
  readonly cgroup?: AppCgroup;
  /** Bound on the open files of each process; else what init gave. */
  readonly openFiles?: number;
  /** Descriptors that become the app's output. */
  readonly stdout: number;
  readonly stderr: number;
}

/** The app's process, in a session and process group of its own. */
export class App {
  readonly #pid: number;
  readonly #stopSignal: number;
  readonly #cgroup: AppCgroup | undefined;
  readonly #ended: Promise<AppEnd>;
  #running = true;
  #stopAsked = false;
  /** Set when the app was killed because its grace time was over. */
  #graceOver: EndCause | undefined;
  #killAt = Number.POSITIVE_INFINITY;
  #killTimer: NodeJS.Timeout | undefined;

  private constructor(pid: number, { stopSignal, cgroup }: AppOptions) {
    this.#pid = pid;
    this.#stopSignal = stopSignal;
    this.#cgroup = cgroup;
    this.#ended = new Promise((resolve, reject) => {
      const failed = addon().childWatch(pid, (code, signal) => {
        this.#running = false;
        clearTimeout(this.#killTimer);
        resolve(
          signal === 0 ? { code, ...this.#causeOf(code) } : { signal: signalNameOf(signal), ...this.#causeOf(signal) },
        );
      });
      if (failed < 0)
        reject(new OdynError('APP_NOT_STARTED', `cannot watch the app: ${getSystemErrorMessage(failed)}`));
    });
  }

  /**
   * Settled when the app itself runs: the starter has become it.
   * @throws OdynError APP_NOT_STARTED
   */
  static async start(options: AppOptions): Promise<App> {
    const { launchPath, root, argv, env, workdir, account, privileged, cgroup, openFiles, stdout, stderr } = options;
    const { uid, gid, groups } = account;
    const ids = ['--uid', `${uid}`, '--gid', `${gid}`, '--groups', groups.join(',')];
    const bounds = [
      ...(cgroup === undefined ? [] : ['--cgroup', cgroup.path]),
      ...(openFiles === undefined ? [] : ['--open-files', `${openFiles}`]),
      ...(privileged ? ['--privileged'] : []),
    ];
    const launch = spawn(
      launchPath,
      ['--root', root, ...ids, ...bounds, '--workdir', workdir, '--sibling', '--', ...argv],
      { cwd: '/', env, stdio: ['ignore', stdout, stderr, 'pipe'] },
    );
    if (launch.pid === undefined) {
      const [error] = (await once(launch, 'error')) as [Error];
      throw new OdynError('APP_NOT_STARTED', `cannot run ${launchPath}: ${error.message}`, { cause: error });
    }
    const said = await text(launch.stdio[3] as Readable);
    const [head = '', pid] = /^pid (\d{1,10})\n/.exec(said) ?? [];
    const failure = said.slice(head.length);
    const app = pid === undefined ? undefined : new App(Number(pid), options);
    if (app !== undefined && failure === '') return app;
    await app?.ended;
    throw new OdynError('APP_NOT_STARTED', `cannot start ${argv[0]}: ${describeFailure(failure)}`);
  }

  get pid(): number {
    return this.#pid;
  }

  /** How the process ended, once it has. */
  get ended(): Promise<AppEnd> {
    return this.#ended;
  }

  /**
   * Sends the image's stop signal to the app's first process, as container engines do; kills all that it started after
   * `graceMs`. Asked again, it can only come sooner.
   */
  stop(graceMs: number): void {
    if (!this.#running) return;
    if (!this.#stopAsked) {
      this.#stopAsked = true;
      process.kill(this.#pid, this.#stopSignal);
    }
    const killAt = performance.now() + graceMs;
    if (killAt >= this.#killAt) return;
    this.#killAt = killAt;
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => {
      this.#graceOver = { cause: 'grace-over', detail: `it had not ended ${graceMs} ms after it was asked to` };
      this.killAll();
    }, graceMs);
  }

  #causeOf(codeOrSignal: number): EndCause | undefined {
    // As a signal, and as shells tell that one of their children got it
    if (codeOrSignal !== constants.signals.SIGKILL && codeOrSignal !== 128 + constants.signals.SIGKILL)
      return undefined;
    return this.#graceOver ?? unlessOutOfDescriptors(() => outOfMemory(this.#pid, this.#cgroup));
  }

  /** Ends whatever is left of the app and what it started; without a cgroup, what has not left its process group. */
  killAll(): void {
    if (this.#cgroup !== undefined) {
      this.#cgroup.kill();
      return;
    }
    try {
      process.kill(-this.#pid, 'SIGKILL');
    } catch (error) {
      // The usual case after the app has ended: nobody is left
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** What the starter says, `errno step`, for people: `No such file or directory (exec)`. */
function describeFailure(line: string): string {
  const [, errno = '', step = ''] = /^(\d+) (.+)\n$/.exec(line) ?? [];
  const words = getSystemErrorMap().get(-Number(errno))?.[1];
  if (words === undefined) return `the starter says ${JSON.stringify(line)}`;
  const hint =
    step === 'exec' && Number(errno) === constants.errno.ENOEXEC
      ? ': neither a program of this machine nor a script'
      : '';
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${hint} (${step})`;
}
