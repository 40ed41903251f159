import assert from 'node:assert/strict';
import { parseManifest } from '@enclaver/manifest';
import { operations } from '../src/index.ts';

const takesManifest = (name: string): boolean => {
  try {
    parseManifest(`version: v1\nname: ${JSON.stringify(name)}\ntarget: a:b\nsources: { app: "a:c" }\n`);
    return true;
  } catch {
    return false;
  }
};

describe('the name of an enclave', () => {
  for (const [what, name, isAllowed] of [
    ['a word', 'web', true],
    ['blanks and letters of any kind', 'läden, Nr. 1 🛒', true],
    ['128 characters', 'n'.repeat(128), true],
    ['nothing', '', false],
    ['129 characters', 'n'.repeat(129), false],
    ['two lines', 'web\n2026-01-01T00:00:00Z e-000000000001 exited: code 0', false],
    ['an escape', '\x1b[2J', false],
    ['an escape of eight bits', '\x9b2J', false],
  ] as const) {
    it(`that is ${what} is ${isAllowed ? 'taken' : 'refused'} in a request as in a manifest`, () => {
      assert.equal(operations.supervisor.run.request.safeParse({ eif: '/a.eif', name }).success, isAllowed);
      assert.equal(takesManifest(name), isAllowed);
    });
  }
});
