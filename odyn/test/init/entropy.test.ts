import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { C_SOURCES } from '../../build/compile-c.ts';
import { compileForTest } from '../compile-for-test.ts';

/** With the real driver it is run by every boot in test/nitro-machine. */
describe("init's random numbers", () => {
  let folder: string;
  let probe: string;

  before(async function () {
    this.timeout(60_000);
    if (process.getuid?.() !== 0) throw new Error('a device is put into a /dev of its own: run this as root');
    folder = await mkdtemp(join(tmpdir(), 'entropy-test-'));
    probe = join(folder, 'probe');
    await compileForTest(C_SOURCES, ['../test/init/entropy-probe.c', 'entropy.c', 'log.c'], probe);
  });

  after(() => rm(folder, { recursive: true, force: true }));

  /** In a mount namespace of its own, whose /dev `script` fills. */
  function runWith(script: string, mode = ''): { code: number | null; said: string } {
    const words = `mount -t tmpfs none /dev && ${script} exec ${probe} ${mode} 2>&1`;
    const { status, stdout } = spawnSync('unshare', ['--mount', 'sh', '-c', words], { encoding: 'utf8' });
    return { code: status, said: stdout };
  }

  it('are those of the processor where there is no NSM', () => {
    assert.deepEqual(runWith(''), { code: 0, said: '' });
  });

  it('end the start when the NSM does not answer', () => {
    assert.deepEqual(runWith('mknod /dev/nsm c 1 3;'), {
      code: 1,
      said: 'init: E_ENTROPY GetRandom of the NSM: Not a tty\n',
    });
  });

  it('end the start when the NSM cannot be opened', () => {
    assert.deepEqual(runWith('mkdir /dev/nsm;'), { code: 1, said: 'init: E_ENTROPY /dev/nsm: Is a directory\n' });
  });

  describe('with an NSM', () => {
    const devices = 'mknod /dev/nsm c 1 3; mknod /dev/random c 1 8;';
    const asked = 'NSM GetRandom 12288\n';
    const taken = 'POOL 2048 bits, 256 bytes\n';

    it('are its bytes, every bit of them credited', () => {
      assert.deepEqual(runWith(devices, 'good'), { code: 0, said: asked + taken });
    });

    for (const mode of ['short', 'error']) {
      it(`are not those of an answer of another form: ${mode}`, () => {
        const said = `${asked}init: E_ENTROPY GetRandom of the NSM: Protocol error\n`;
        assert.deepEqual(runWith(devices, mode), { code: 1, said });
      });
    }

    it('end the start when the kernel does not take them', () => {
      const said = `${asked + taken}init: E_ENTROPY RNDADDENTROPY: Operation not permitted\n`;
      assert.deepEqual(runWith(devices, 'refused'), { code: 1, said });
    });
  });
});
