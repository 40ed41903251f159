import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { enclaverProgram } from '../src/program.ts';
import { openSession } from '../src/session.ts';
import { defaultDataDir, defaultStackDir } from '../src/stack/locations.ts';

/** A user of this machine that is not root; the folder's owner, unless a test says otherwise. */
const USER = process.getuid?.() || 12_345;
const STRANGER = USER + 1;

describe("a user's stack folder", () => {
  let runtime: string;
  let folder: string;
  let bus: Server;
  let asked: number;
  const { ENCLAVER_BUS, PATH, XDG_RUNTIME_DIR } = process.env;
  const { getuid } = process;

  beforeEach(async () => {
    runtime = await mkdtemp(join(tmpdir(), 'enclaver-folder-'));
    folder = join(runtime, 'enclaver');
    asked = 0;
    bus = createServer((socket) => {
      asked++;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(bus, 'listening');
    await mkdir(join(folder, 'bus'), { recursive: true, mode: 0o700 });
    const url = `nats://127.0.0.1:${(bus.address() as AddressInfo).port}`;
    await writeFile(join(folder, 'bus/cli.json'), JSON.stringify({ url, user: 'cli', password: 'x' }));
    if (getuid?.() === 0) await chown(folder, USER, USER);
    // No program is found: what is not refused fails for that
    Object.assign(process.env, { XDG_RUNTIME_DIR: runtime, PATH: runtime });
    delete process.env.ENCLAVER_BUS;
    process.getuid = () => USER;
  });

  afterEach(async () => {
    process.getuid = getuid;
    for (const [name, value] of Object.entries({ ENCLAVER_BUS, PATH, XDG_RUNTIME_DIR })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    bus.close();
    await rm(runtime, { recursive: true });
  });

  const enclaver = (...args: string[]): Promise<unknown> => enclaverProgram().parseAsync(['node', 'enclaver', ...args]);

  async function isRefused(reason: RegExp): Promise<void> {
    const refusal = { code: 'STACK_FOLDER_UNSAFE', message: reason, remedy: /XDG_RUNTIME_DIR/ };
    await assert.rejects(openSession(), refusal);
    await assert.rejects(enclaver('up', '--bus-port', '0'), refusal);
    await assert.rejects(enclaver('bus', 'init', '--data-dir', join(runtime, 'data')), refusal);
    assert.equal(asked, 0);
    assert.deepEqual(await readdir(join(folder, 'bus')), ['cli.json']);
  }

  it('lies in /tmp itself without a runtime folder, so that nobody else owns one above it', () => {
    delete process.env.XDG_RUNTIME_DIR;
    assert.equal(defaultStackDir(), `/tmp/enclaver-${USER}`);
  });

  it('leads to its bus', async () => {
    await assert.rejects(openSession(), { code: 'BUS_UNREACHABLE' });
    assert.ok(asked > 0);
  });

  it('is refused where another user has made it', async () => {
    process.getuid = () => STRANGER;
    await isRefused(new RegExp(`belongs to user ${USER}; allowed is a folder of user ${STRANGER}`));
  });

  it('is refused where others may write it', async () => {
    for (const mode of [0o770, 0o702]) {
      await chmod(folder, mode);
      await isRefused(new RegExp(`has mode ${mode.toString(8)}; `));
    }
  });

  it('is refused where it is a link, which leads somewhere else tomorrow', async () => {
    process.env.XDG_RUNTIME_DIR = join(runtime, 'other');
    await mkdir(join(runtime, 'other'));
    await symlink(folder, join(runtime, 'other/enclaver'));
    await isRefused(/is no folder; /);
  });
});

describe('the data folder', () => {
  const { ENCLAVER_DATA_DIR } = process.env;

  afterEach(() => {
    if (ENCLAVER_DATA_DIR === undefined) delete process.env.ENCLAVER_DATA_DIR;
    else process.env.ENCLAVER_DATA_DIR = ENCLAVER_DATA_DIR;
  });

  it('is that of ENCLAVER_DATA_DIR, as an absolute path, and the usual one where that is empty', () => {
    delete process.env.ENCLAVER_DATA_DIR;
    const usual = defaultDataDir();
    for (const [given, taken] of [
      ['', usual],
      ['data', resolve('data')],
      ['/srv/data', '/srv/data'],
    ] as const) {
      process.env.ENCLAVER_DATA_DIR = given;
      assert.equal(defaultDataDir(), taken);
    }
  });
});
