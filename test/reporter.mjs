import mocha from 'mocha';

const { EVENT_RUN_END } = mocha.Runner.constants;

/** Mocha's own report, closed by one plain line that a script can read. */
export default class Reporter extends mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once(EVENT_RUN_END, () => {
      process.stdout.write(`\n${this.stats.passes} passed, ${this.stats.failures} failed\n`);
    });
  }
}
