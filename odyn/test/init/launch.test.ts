import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { C_PROGRAMS, C_SOURCES, compileC } from '../../build/compile-c.ts';
import { addon } from '../../src/system/addon.ts';
import { compileForTest } from '../compile-for-test.ts';

interface Seen {
  uids: number[];
  gids: number[];
  groups: number[];
  cwd: string;
  leader: boolean;
  inRoot: boolean;
  umask: number;
  open: number[];
  files: number[];
  blocked: number[];
  ignored: number[];
  arguments: string[];
}

interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  reason: string;
}

describe('launch', () => {
  let folder: string;
  let root: string;
  let launch: string;

  before(async function () {
    this.timeout(60_000);
    if (process.getuid?.() !== 0) {
      throw new Error('launch changes root, user and mounts: run its tests as root');
    }
    folder = await mkdtemp(join(tmpdir(), 'launch-test-'));
    root = join(folder, 'root');
    launch = join(folder, 'launch');
    await mkdir(join(root, 'bin'), { recursive: true });
    await chmod(folder, 0o755);
    await compileForTest(C_SOURCES, C_PROGRAMS.launch, launch);
    await compileC(import.meta.dirname, ['probe.c'], join(root, 'bin/probe'));
    await writeFile(join(root, 'i-am-the-root'), '');
    await writeFile(join(root, 'bin/text'), 'not a program\n', { mode: 0o755 });
    await writeFile(join(root, 'bin/data'), 'not executable\n', { mode: 0o644 });
    await symlink('/bin/probe', join(root, 'bin/linked'));
    await mkdir(join(root, 'private'), { mode: 0o700 });
    await writeFile(join(root, 'file'), '');
  });

  after(() => rm(folder, { recursive: true, force: true }));

  function start(args: readonly string[], env: NodeJS.ProcessEnv = { PATH: '/bin' }, wrapper: readonly string[] = []) {
    const words = [...wrapper, launch, ...args];
    const stdio = Array.from({ length: 6 }, () => 'pipe' as const);
    return spawn(words[0] ?? launch, words.slice(1), { env, stdio, detached: true });
  }

  function streamOf(child: ChildProcess, index: number): NodeJS.ReadableStream {
    const stream = child.stdio[index];
    assert.ok(stream && 'read' in stream);
    return stream;
  }

  async function outcomeOf(child: ChildProcess): Promise<Outcome> {
    const [stdout, reason, [code, signal]] = await Promise.all([
      text(streamOf(child, 1)),
      text(streamOf(child, 3)),
      once(child, 'close'),
    ]);
    return { code, signal, stdout, reason };
  }

  function options(overrides: Record<string, string> = {}): string[] {
    const all = { '--root': root, '--uid': '1234', '--gid': '2345', '--groups': '', '--workdir': '/', ...overrides };
    return Object.entries(all).flat();
  }

  async function probe(overrides: Record<string, string> = {}, wrapper: readonly string[] = []): Promise<Seen> {
    const outcome = await outcomeOf(start([...options(overrides), '--', 'probe'], { PATH: '/bin' }, wrapper));
    assert.deepEqual({ code: outcome.code, reason: outcome.reason }, { code: 0, reason: '' });
    return JSON.parse(outcome.stdout) as Seen;
  }

  async function refusal(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string> {
    const outcome = await outcomeOf(start(args, env));
    assert.equal(outcome.code, 127);
    return outcome.reason;
  }

  it('makes the folder the root of the program, and of it alone', async () => {
    const seen = await probe();
    assert.equal(seen.inRoot, true);
    assert.equal(seen.cwd, '/');
    assert.doesNotMatch(await readFile('/proc/self/mountinfo', 'utf8'), /launch-test-/);
  });

  it('sets real, effective and saved ids and exactly the groups asked for', async () => {
    const seen = await probe({ '--groups': '7,4294967294,9' });
    assert.deepEqual(seen.uids, [1234, 1234, 1234]);
    assert.deepEqual(seen.gids, [2345, 2345, 2345]);
    assert.deepEqual(seen.groups, [7, 9, 4294967294]);
    assert.deepEqual((await probe()).groups, []);
  });

  it('enters the workdir', async () => {
    assert.equal((await probe({ '--workdir': '/bin' })).cwd, '/bin');
  });

  it('makes a missing workdir, owned by root as container engines do', async () => {
    assert.equal((await probe({ '--workdir': '/made/by//launch/' })).cwd, '/made/by/launch');
    const info = await stat(join(root, 'made/by/launch'));
    assert.deepEqual([info.uid, info.gid, info.mode & 0o7777], [0, 0, 0o755]);
  });

  it('enters a workdir that only root may enter', async () => {
    assert.equal((await probe({ '--workdir': '/private' })).cwd, '/private');
  });

  it('closes every descriptor but the standard ones', async () => {
    assert.deepEqual((await probe()).open, [0, 1, 2]);
  });

  it('gives default signal handling, an empty mask and umask 022', async () => {
    const seen = await probe({}, ['env', '--ignore-signal=PIPE,USR1', '--block-signal=USR2,TERM']);
    assert.deepEqual([seen.ignored, seen.blocked, seen.umask], [[], [], 0o022]);
  });

  it('makes the program the leader of a process group when nobody did', async () => {
    assert.equal((await probe({}, ['sh', '-c', '"$@"; exit $?', 'sh'])).leader, true);
  });

  it('takes back the protection from the out-of-memory killer', async () => {
    const wrapper = ['sh', '-c', 'echo 300 >/proc/self/oom_score_adj && exec "$@"', 'sh'];
    const child = start([...options(), '--', 'probe', 'wait'], { PATH: '/bin:/usr/bin' }, wrapper);
    const outcome = outcomeOf(child);
    await once(streamOf(child, 1), 'readable');
    assert.equal((await readFile(`/proc/${child.pid}/oom_score_adj`, 'utf8')).trim(), '0');
    child.stdin?.end('\n');
    assert.equal((await outcome).code, 0);
  });

  it('gives output pipes to the user, so that they can be opened by name', async () => {
    const pipe = join(folder, 'output');
    const wrapper = ['sh', '-c', 'mkfifo -m 600 "$0" && { cat <"$0" & exec "$@" >"$0"; }', pipe];
    const outcome = await outcomeOf(start([...options(), '--', 'probe'], { PATH: '/bin:/usr/bin' }, wrapper));
    assert.equal(outcome.code, 0);
    const info = await stat(pipe);
    assert.deepEqual([info.uid, info.gid, info.mode & 0o777], [1234, 2345, 0o600]);
  });

  it('finds the program by the PATH it was given and passes arguments on unchanged', async () => {
    const words = ['probe', '--uid', '0', '', 'a b'];
    const outcome = await outcomeOf(start([...options(), '--', ...words], { PATH: '/nowhere:/bin' }));
    assert.deepEqual((JSON.parse(outcome.stdout) as Seen).arguments, words.slice(1));
    assert.equal(await refusal([...options(), '--', 'probe'], { PATH: '/nowhere' }), '2 exec\n');
  });

  it('follows absolute links inside the root', async () => {
    const outcome = await outcomeOf(start([...options(), '--', '/bin/linked']));
    assert.equal(outcome.code, 0);
  });

  it('tells a program that is missing, not executable, or no program', async () => {
    assert.equal(await refusal([...options(), '--', '/bin/missing']), '2 exec\n');
    assert.equal(await refusal([...options(), '--', '/bin/data']), '13 exec\n');
    assert.equal(await refusal([...options(), '--', '/bin/text']), '8 exec\n');
  });

  it('bounds the open files of the program, so that it cannot raise them', async () => {
    const seen = await probe({ '--open-files': '100' });
    assert.deepEqual(seen.files, [100, 100]);
  });

  it('tells a cgroup that is not there', async () => {
    assert.equal(await refusal([...options({ '--cgroup': '/no/such' }), '--', 'probe']), '2 cgroup\n');
  });

  it('leaves the program to whoever started it, in a session of its own, and names it first', async () => {
    // Node closes its end of a pipe when launch has ended, and a program that waits for input would end, too
    const wrapper = ['sh', '-c', 'mkfifo "$0" && exec "$@" <>"$0"', join(folder, 'input')];
    const args = [...options({ '--root': root }), '--sibling', '--', 'probe', 'wait'];
    const child = start(args, { PATH: '/bin:/usr/bin' }, wrapper);
    const reason = text(streamOf(child, 3));
    const [code] = await once(child, 'exit');
    assert.equal(code, 0);
    const [, pid] = /^pid (\d+)\n$/.exec(await reason) ?? [];
    const [, , , parent, group, session] = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ');
    assert.deepEqual([parent, group, session], [`${process.pid}`, pid, pid]);
    const ended = Promise.withResolvers<number[]>();
    assert.equal(
      addon().childWatch(Number(pid), (...end) => ended.resolve(end)),
      0,
    );
    process.kill(Number(pid), 40);
    assert.deepEqual(await ended.promise, [-1, 40]);
  });

  it('names a program that does not start as well', async () => {
    const child = start([...options(), '--sibling', '--', '/no/such/program'], { PATH: '/bin' });
    const reason = await text(streamOf(child, 3));
    const [, pid, failure] = /^pid (\d+)\n(.*)\n$/.exec(reason) ?? [];
    assert.equal(failure, '2 exec');
    const ended = Promise.withResolvers<number[]>();
    assert.equal(
      addon().childWatch(Number(pid), (...end) => ended.resolve(end)),
      0,
    );
    assert.deepEqual(await ended.promise, [127, 0]);
  });

  it('tells a missing root and a workdir that is a file', async () => {
    assert.equal(await refusal([...options({ '--root': '/no/such/root' }), '--', 'probe']), '2 bind root\n');
    assert.equal(await refusal([...options({ '--workdir': '/file' }), '--', 'probe']), '20 workdir\n');
    assert.equal(await refusal([...options({ '--workdir': '/file/below' }), '--', 'probe']), '20 workdir\n');
  });

  for (const [title, args] of [
    ['an id that is no number', { '--uid': 'root' }],
    ['an id with a sign', { '--gid': '-1' }],
    ['the id that means "unchanged"', { '--uid': '4294967295' }],
    ['an id past 32 bits', { '--uid': '99999999999999999999' }],
    ['a number with a tail', { '--gid': '1,2' }],
    ['groups that end with a comma', { '--groups': '1,' }],
    ['more groups than bearable', { '--groups': Array.from({ length: 257 }, (_, i) => i).join(',') }],
    ['an unknown option', { '--colour': 'red' }],
  ] as const) {
    it(`refuses ${title}`, async () => {
      assert.match(await refusal([...options(args), '--', 'probe']), /^22 arguments\n$/);
    });
  }

  describe('an app', () => {
    const { EAFNOSUPPORT, EACCES, ENOSYS, EPERM, EROFS } = constants.errno;
    const systems = 'mount -t proc none "$0/proc" && mount -t sysfs none "$0/sys" && exec "$@"';

    async function tryToEscape(uid: string, ...more: string[]): Promise<Record<string, number>> {
      const wrapper = ['unshare', '-m', 'sh', '-c', systems, root];
      const words = [...options({ '--uid': uid, '--gid': uid }), ...more, '--', 'probe', 'escape', `${process.pid}`];
      const outcome = await outcomeOf(start(words, { PATH: '/usr/bin:/bin' }, wrapper));
      assert.deepEqual({ code: outcome.code, reason: outcome.reason }, { code: 0, reason: '' });
      return JSON.parse(outcome.stdout) as Record<string, number>;
    }

    before(() => Promise.all(['proc', 'sys'].map((name) => mkdir(join(root, name)))));

    const sockets = {
      vsock: EAFNOSUPPORT,
      'vsock, upper half set': EAFNOSUPPORT,
      tcp: 0,
      io_uring: EPERM,
      ...(process.arch === 'x64'
        ? { 'vsock, x32': ENOSYS, 'vsock, 32 bits': EAFNOSUPPORT, socketcall: ENOSYS, 'tcp, 32 bits': 0 }
        : {}),
    };
    // The capabilities are what `docker run` shows as CapBnd
    const others = { trace: EPERM, memory: EACCES, root: EACCES, descriptor: EPERM, capabilities: 0xa804_25fb };

    it('that is root keeps within what a container may, and opens no vsock', async () => {
      const files = { sysctl: EROFS, sysfs: EROFS, 'writable /proc': EPERM, 'unmount /proc': EPERM };
      assert.deepEqual(await tryToEscape('0'), { ...sockets, ...others, ...files, chown: 0 });
    });

    it('that is not root opens no vsock either', async () => {
      const tries = await tryToEscape('1234');
      for (const [name, errno] of Object.entries({ ...sockets, ...others })) assert.equal(tries[name], errno, name);
    });

    it('that is privileged has all of it', async () => {
      const {
        vsock,
        io_uring,
        trace,
        memory,
        sysctl,
        'writable /proc': remount,
      } = await tryToEscape('0', '--privileged');
      // A ring with no room for its description: the call itself was let through
      assert.deepEqual([vsock, trace, memory, sysctl], [0, 0, 0, 0]);
      assert.notEqual(io_uring, EPERM);
      assert.notEqual(remount, EPERM);
    });
  });

  it('refuses a missing program and a missing option', async () => {
    assert.equal(await refusal(options()), '22 arguments\n');
    assert.equal(await refusal([...options(), '--']), '22 arguments\n');
    assert.equal(await refusal(['--root', root, '--', 'probe']), '22 arguments\n');
  });
});
