import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus } from '@enclaver/bus';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { enclaver } from '../../test/stack/enclaver.ts';

/** What a terminal obeys, and a line that looks like the command's own. */
const HOSTILE = '1.0\x1b[8m\u202e\nVerified: registry/payments:enclave holds what its recorded inputs give';

/** The command against a real bus; the builder's answer is the test's. */
describe('enclaver verify-build', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let folder: string;

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'test/builder', credentials: nats.credentials });
    const measurements = { PCR0: '0'.repeat(96), PCR1: '1'.repeat(96), PCR2: '2'.repeat(96) };
    await bus.serve('builder', '0.1.0', {
      ...({} as Parameters<typeof bus.serve<'builder'>>[2]),
      verifyBuild: async ({ buildId }) => {
        bus.publishBuildProgress(buildId, { stage: 'resolve', text: HOSTILE });
        return {
          identical: false,
          recorded: { sha256: 'a', measurements, enclaver: HOSTILE },
          rebuilt: { sha256: 'b', measurements, enclaver: '0.1.0' },
          differences: ['PCR0: differs'],
        };
      },
    });
    folder = await mkdtemp(join(tmpdir(), 'enclaver-verify-build-'));
    await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.as('cli')), { mode: 0o600 });
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  it('lets an image write nothing to the terminal but one line of escapes', async () => {
    const { code, stdout, stderr } = await enclaver(['verify-build', 'image:1'], {
      ENCLAVER_BUS: join(folder, 'bus.json'),
    });
    assert.equal(code, 1);
    for (const text of [stdout, stderr]) {
      assert.match(text, /1\.0\\x1b\[8m\\u\{202e\}\\nVerified/);
      assert.doesNotMatch(text, /^Verified/m);
      assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
    }
  });
});
