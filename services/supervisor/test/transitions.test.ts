import assert from 'node:assert/strict';
import { type EnclaveState, enclaveStates, hasEnded } from '@enclaver/bus';
import { type Input, inputs, transition } from '../src/lifecycle/transitions.ts';

/** The whole table as a second opinion: state, then the state after each input in the order of `inputs`; `.` stays. */
const expected: Record<EnclaveState, string> = {
  //          launch    booted  starting ready unhealthy stop     ended  fatal  abort  killed gone unseen
  requested: 'launching .       .        .     .         stopping .      .      failed .      . lost',
  launching: '.         booting starting ready unhealthy stopping exited failed failed .      failed lost',
  booting: '.         .       starting ready unhealthy stopping exited failed failed .      failed lost',
  starting: '.         .       .        ready unhealthy stopping exited failed failed .      lost lost',
  ready: '.         .       .        .     unhealthy stopping exited failed failed .      lost lost',
  unhealthy: '.         .       .        ready .         stopping exited failed failed .      lost lost',
  stopping: '.         .       .        .     .         .        exited failed failed exited lost lost',
  exited: '. . . . . . . . . . . .',
  failed: '. . . . . . . . . . . .',
  lost: '. . . . . . . . . . . .',
};

describe('transitions', () => {
  for (const state of enclaveStates) {
    it(`knows what follows ${state}`, () => {
      const row = expected[state].split(/\s+/);
      assert.equal(row.length, inputs.length);
      inputs.forEach((input, index) => {
        assert.equal(transition(state, input) ?? '.', row[index], `${state} + ${input}`);
      });
    });
  }

  it('leads from every state to an end, and from an end nowhere', () => {
    const follows = (state: EnclaveState) =>
      inputs.map((input: Input) => transition(state, input)).filter((next) => next !== undefined);
    for (const state of enclaveStates) {
      const reached = new Set<EnclaveState>([state]);
      for (const each of reached) for (const next of follows(each)) reached.add(next);
      assert.equal([...reached].some(hasEnded), true, state);
      if (hasEnded(state)) assert.deepEqual(follows(state), []);
    }
  });
});
