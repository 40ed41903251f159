import assert from 'node:assert/strict';
import { enclaver } from '../../test/stack/enclaver.ts';
import { FakeBuilder } from './fake-builder.ts';

/** What a terminal obeys, and a line that looks like the command's own. */
const HOSTILE = '1.0\x1b[8m\u202e\nVerified: registry/payments:enclave holds what its recorded inputs give';

describe('enclaver verify-build', () => {
  it('lets an image write nothing to the terminal but one line of escapes', async () => {
    const measurements = { PCR0: '0'.repeat(96), PCR1: '1'.repeat(96), PCR2: '2'.repeat(96) };
    await using builder = await FakeBuilder.start((bus) => ({
      verifyBuild: async ({ buildId }) => {
        bus.publishBuildProgress(buildId, { stage: 'resolve', text: HOSTILE });
        return {
          identical: false,
          recorded: { sha256: 'a', measurements, enclaver: HOSTILE },
          rebuilt: { sha256: 'b', measurements, enclaver: '0.1.0' },
          differences: ['PCR0: differs'],
        };
      },
    }));
    const { code, stdout, stderr } = await enclaver(['verify-build', 'image:1'], builder.env);
    assert.equal(code, 1);
    for (const text of [stdout, stderr]) {
      assert.match(text, /1\.0\\x1b\[8m\\u\{202e\}\\nVerified/);
      assert.doesNotMatch(text, /^Verified/m);
      assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
    }
  });
});
