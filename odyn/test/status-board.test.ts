import assert from 'node:assert/strict';
import type { EnclaveStatus } from '@enclaver/wire';
import { Events } from '../src/events.ts';
import { StatusBoard } from '../src/status/status-board.ts';

describe('the state of an enclave', () => {
  it('stays what the last word is, whatever comes after it', () => {
    for (const [end, final] of [
      [(events: Events) => events.emit('exited', { code: 42 }), { status: 'exited', code: 42 }],
      [(events: Events) => events.emit('failed', { error: 'E' }), { status: 'fatal', error: 'E' }],
    ] as const) {
      const events = new Events();
      const board = new StatusBoard(events, { initMs: 1, odynMs: 2 });
      const told: EnclaveStatus[] = [];
      board.onChange = (status) => told.push(status);
      end(events);
      events.emit('stopping', { graceMs: 1 });
      events.emit('ready');
      events.emit('unhealthy', { reason: 'late' });
      events.emit('clock', { words: 'late' });
      assert.deepEqual(board.current, final);
      assert.deepEqual(told, [final]);
    }
  });
});
