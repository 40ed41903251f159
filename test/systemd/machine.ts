import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const checkout = resolve(import.meta.dirname, '../..');

/** What a command in the machine said; a code other than 0 is for the caller to judge. */
export interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

/** A running systemd, which has none of our units yet: see `boot`. */
export class SystemdMachine implements AsyncDisposable {
  readonly #unshare: ChildProcess;
  readonly #work: string;
  readonly #pid: string;

  private constructor(unshare: ChildProcess, work: string, pid: string) {
    this.#unshare = unshare;
    this.#work = work;
    this.#pid = pid;
  }

  /** `srv`: a folder that it has as /srv. */
  static async boot(srv: string): Promise<SystemdMachine> {
    const work = await mkdtemp(join(tmpdir(), 'enclaver-systemd-'));
    const namespaces = ['--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child'];
    const engine = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, '');
    const boot = [join(import.meta.dirname, 'boot'), work, checkout, srv, engine];
    // Ends with this process, however that ends
    const unshare = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...namespaces, ...boot], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    unshare.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await once(unshare, 'spawn');
    const machine = new SystemdMachine(unshare, work, await childOf(unshare));
    try {
      await machine.until(['systemctl', 'is-active', 'multi-user.target']);
    } catch (cause) {
      await machine[Symbol.asyncDispose]();
      throw new Error(`systemd did not start:\n${said}`, { cause });
    }
    return machine;
  }

  /** Runs a command in it. */
  run(...command: string[]): Promise<Said> {
    const args = [
      '-t',
      this.#pid,
      '--mount',
      '--pid',
      '--net',
      '--uts',
      '--ipc',
      '--cgroup',
      '--root',
      '--wd',
      ...command,
    ];
    return new Promise((done) => {
      execFile('nsenter', args, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
        done({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 255, stdout, stderr });
      });
    });
  }

  /** The same, and throws when it fails. */
  async do(...command: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...command);
    if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Runs a script of a document in the checkout, as root. */
  script(text: string): Promise<string> {
    return this.do('bash', '-euo', 'pipefail', '-c', `cd /opt/enclaver && ${text}`);
  }

  /** Runs a command again and again until it succeeds and says something that `wanted` matches. */
  async until(command: string[], wanted = /(?:)/): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      const { code, stdout, stderr } = await this.run(...command);
      if (code === 0 && wanted.test(stdout)) return stdout;
      if (attempt === 240) throw new Error(`${command.join(' ')} ends with ${code}:\n${stdout}${stderr}`);
      await new Promise((wake) => setTimeout(wake, 500));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#unshare.exitCode === null && this.#unshare.signalCode === null) {
      const gone = once(this.#unshare, 'exit');
      process.kill(Number(this.#pid), 'SIGKILL');
      await gone;
    }
    await rm(this.#work, { recursive: true });
  }
}

/** The first process in the namespaces: the only child of `unshare`. */
async function childOf({ pid }: ChildProcess): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ');
    if (child !== undefined && child !== '') return child;
    if (attempt === 100) throw new Error('systemd did not start');
    await new Promise((wake) => setTimeout(wake, 50));
  }
}
