import assert from 'node:assert/strict';
import { enclaver } from '../../test/stack/enclaver.ts';

/** What is given is wrong: no bus is asked. */
describe('options of the command', function () {
  this.timeout(30_000);

  async function refuses(allowed: RegExp, ...args: string[]): Promise<void> {
    const { code, stderr } = await enclaver(args, { ENCLAVER_BUS: '/nowhere/cli.json' });
    assert.equal(code, 2, stderr);
    assert.match(stderr, allowed);
  }

  it('take no name that a manifest would not have', async () => {
    for (const name of ['', 'n'.repeat(129), 'web\nweb']) {
      await refuses(/1 to 128 characters, none of them a control character/, 'run', 'app:1', `--name=${name}`);
    }
  });
});
