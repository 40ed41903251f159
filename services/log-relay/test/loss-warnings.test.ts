import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { limits } from '../src/limits.ts';
import { LossWarnings } from '../src/loss-warnings.ts';

describe('warnings of lost lines', () => {
  let told: string[];
  let warnings: LossWarnings;

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
    told = [];
    warnings = new LossWarnings({
      raise: ({ message, enclave }) => void told.push(`${enclave}: ${message}`),
      clear: (code, enclave) => void told.push(`${enclave}: no ${code}`),
    });
  });

  afterEach(() => {
    warnings.close();
    mock.timers.reset();
  });

  it('are raised for each enclave at once, and cleared when nothing was lost for a while', () => {
    warnings.add({ id: 'e-1', name: 'web' }, 1);
    warnings.add({ id: 'e-2', name: 'db' }, 5);
    assert.deepEqual(told, [
      'e-1: 1 log line of web did not reach the bus',
      'e-2: 5 log lines of db did not reach the bus',
    ]);
    told.length = 0;
    mock.timers.tick(limits.lossQuietMs - 1);
    warnings.add({ id: 'e-2', name: 'db' }, 1);
    mock.timers.tick(1);
    assert.deepEqual(told, ['e-1: no LOG_LINES_LOST']);
    mock.timers.tick(limits.lossQuietMs);
    assert.deepEqual(told.slice(1), ['e-2: 6 log lines of db did not reach the bus', 'e-2: no LOG_LINES_LOST']);
  });

  it('say how many by now, but not with each line', () => {
    for (let index = 0; index < 1_000; index += 1) warnings.add({ id: 'e-1', name: 'web' }, 10);
    mock.timers.tick(limits.lossTellMs);
    assert.deepEqual(told, [
      'e-1: 10 log lines of web did not reach the bus',
      'e-1: 10000 log lines of web did not reach the bus',
    ]);
  });
});
