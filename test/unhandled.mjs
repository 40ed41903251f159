/**
 * Mocha lets a rejection pass that nobody handles, although it would end the process in earnest. Here it fails the run: at
 * the end, since by then the test that caused it may be over.
 */
const seen = new Map();
let running = 'before the first test';

process.on('unhandledRejection', (reason) => {
  // Mocha passes each on once more
  if (!seen.has(reason)) seen.set(reason, `${running}: ${reason instanceof Error ? reason.stack : reason}`);
});

export const mochaHooks = {
  beforeEach() {
    running = this.currentTest.fullTitle();
  },
  afterAll() {
    if (seen.size > 0) throw new Error(`rejections that nobody handled:\n${[...seen.values()].join('\n')}`);
  },
};
