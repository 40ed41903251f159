import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What the addon gives to the driver, and takes from it; the real one is asked in test/nitro-machine. */
describe('requests to the driver of the NSM', function () {
  this.timeout(30_000);
  let folder: string;
  let driver: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nsm-driver-'));
    driver = join(folder, 'driver.so');
    await run('gcc', [
      '-shared',
      '-fPIC',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-o',
      driver,
      join(import.meta.dirname, 'driver.c'),
    ]);
  });

  after(() => rm(folder, { recursive: true }));

  async function call(bytes: number, answer: string): Promise<{ sent: string | undefined; result: string }> {
    const program = join(import.meta.dirname, 'call.ts');
    // After what a sanitized run has put first (test/sanitizers)
    const env = { ...process.env, LD_PRELOAD: [process.env.LD_PRELOAD ?? '', driver].join(' '), ANSWER: answer };
    const { stdout, stderr } = await run(process.execPath, [program, `${bytes}`], { env });
    return { sent: /^IOCTL (.*)$/m.exec(stderr)?.[1], result: stdout.trim() };
  }

  it('have the number, length and room of the kernel interface', async () => {
    const vectors = JSON.parse(await readFile(new URL('../vectors/nsm-ioctl.json', import.meta.url), 'utf8'));
    const { request_max: most, response_max: room, ioctl, struct_nsm_raw: fields } = vectors;
    assert.deepEqual(
      fields.map(([, , offset]: [string, string, number]) => offset),
      [0, 8, 16, 24],
      'the order in which the driver of this test reads them',
    );
    const number = Number(ioctl.request_hex).toString(16);
    assert.deepEqual(await call(most, 'echo'), { sent: `${number} ${most} ${room}`, result: `${most} true` });
    assert.deepEqual(await call(0, 'echo'), { sent: `${number} 0 ${room}`, result: '0 true' });
  });

  it('do not believe a driver that claims to have written more than there was room for', async () => {
    const tooLong = `-${constants.errno.EMSGSIZE}`;
    assert.equal((await call(1, '0x3000')).result, '12288 false');
    for (const claimed of ['0x3001', '0xffffffffffffffff']) assert.equal((await call(1, claimed)).result, tooLong);
  });
});
