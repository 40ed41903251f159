import assert from 'node:assert/strict';
import { enclaver } from '../../test/stack/enclaver.ts';

/** What is given is wrong: no bus is asked. */
describe('options of the command', function () {
  this.timeout(60_000);

  async function refuses(allowed: RegExp, ...args: string[]): Promise<void> {
    const { code, stderr } = await enclaver(args, { ENCLAVER_BUS: '/nowhere/cli.json' });
    assert.equal(code, 2, stderr);
    assert.match(stderr, allowed);
  }

  it('take no text for a grace time that is none, which would kill at once', async () => {
    for (const text of ['', ' ', '0x10', '3601']) {
      await refuses(/a number of seconds from 0 to 3600/, 'stop', 'web', `--time=${text}`);
    }
  });

  it('take no text for a port that is none', async () => {
    for (const text of ['', 'abc', '65536']) {
      for (const [least, ...args] of [
        [0, 'up', '--private=/proc/nowhere', `--bus-port=${text}`],
        [1, 'bus', 'init', '--stack-dir=/proc/nowhere', `--port=${text}`],
        [1, 'fleet', 'init', 'hub', 'red', '--dir=/proc/nowhere', `--port=${text}`],
        [1, 'fleet', 'init', 'hub', 'red', '--dir=/proc/nowhere', `--leaf-port=${text}`],
      ] as const) {
        await refuses(new RegExp(`a port from ${least} to 65535`), ...args);
      }
    }
  });

  it('take no name that a manifest would not have', async () => {
    for (const name of ['', 'n'.repeat(129), 'web\nweb']) {
      await refuses(/1 to 128 characters, none of them a control character/, 'run', 'app:1', `--name=${name}`);
    }
  });

  it('are those of the original, too: `-v` and `--debug-mode`', async () => {
    const { code, stderr } = await enclaver(['-v', 'run', 'app:1', '--debug-mode'], {
      ENCLAVER_BUS: '/nowhere/cli.json',
    });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /nowhere/);
  });
});
