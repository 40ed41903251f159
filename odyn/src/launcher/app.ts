import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { getSystemErrorMap } from 'node:util';
import type { AppEnd } from '../events.ts';
import { OdynError } from '../odyn-error.ts';
import type { Account } from './accounts.ts';
import type { AppCgroup } from './app-cgroup.ts';

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
  readonly #child: ChildProcess;
  readonly #pid: number;
  readonly #stopSignal: number;
  readonly #cgroup: AppCgroup | undefined;
  readonly #ended: Promise<AppEnd>;
  #running = true;
  #stopAsked = false;
  #killAt = Number.POSITIVE_INFINITY;
  #killTimer: NodeJS.Timeout | undefined;

  private constructor(child: ChildProcess, pid: number, { stopSignal, cgroup }: AppOptions) {
    this.#child = child;
    this.#pid = pid;
    this.#stopSignal = stopSignal;
    this.#cgroup = cgroup;
    this.#ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#running = false;
        clearTimeout(this.#killTimer);
        resolve(signal === null ? { code: code ?? 0 } : { signal });
      });
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
    const child = spawn(launchPath, ['--root', root, ...ids, ...bounds, '--workdir', workdir, '--', ...argv], {
      cwd: '/',
      env,
      // Of its own, so that a signal for the app's group does not reach odyn
      detached: true,
      stdio: ['ignore', stdout, stderr, 'pipe'],
    });
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error];
      throw new OdynError('APP_NOT_STARTED', `cannot run ${launchPath}: ${error.message}`, { cause: error });
    }
    const app = new App(child, child.pid, options);
    const failure = await text(child.stdio[3] as Readable);
    if (failure === '') return app;
    await app.ended;
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
      this.#child.kill(this.#stopSignal);
    }
    const killAt = performance.now() + graceMs;
    if (killAt >= this.#killAt) return;
    this.#killAt = killAt;
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => this.killAll(), graceMs);
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
