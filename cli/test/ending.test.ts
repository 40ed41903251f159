import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { explainEnd } from '../src/output/ending.ts';

describe('end of an enclave in words', () => {
  it('has words for every code that the supervisor ends an enclave with, and passes on those of others', async () => {
    const source = await readFile(
      new URL('../../services/supervisor/src/supervisor-error.ts', import.meta.url),
      'utf8',
    );
    const codes = [...source.matchAll(/\| '([A-Z_]+)'/g)].map(([, code = '']) => code);
    assert.ok(codes.length > 10);
    // These refuse a request: there is no enclave that they could have ended
    const refusals =
      /^(ENCLAVE_NOT_FOUND|EIF_NO_MANIFEST|LAUNCH_INVALID|NAME_IN_USE|PORT_NOT_.*|SUPERVISOR_STOPPING|TOO_MANY_(ENCLAVES|PORTS)|UPDATE_RUNNING|BUS_FULL)$/;
    for (const code of codes.filter((each) => !refusals.test(each))) {
      const { text, remedy } = explainEnd({ kind: 'failed', error: { code, message: 'as it was', remedy: 'do this' } });
      assert.match(text, /^.{20,}: as it was$/, code);
      assert.equal(remedy, 'do this');
    }
    assert.equal(explainEnd({ kind: 'lost', error: { code: 'NITRO_X', message: 'as it was' } }).text, 'as it was');
  });

  it('tells an exit code, a signal and each cause of them apart', () => {
    const texts = [
      explainEnd({ kind: 'exited', code: 0 }),
      explainEnd({ kind: 'exited', code: 3 }),
      explainEnd({ kind: 'exited', code: 127 }),
      explainEnd({ kind: 'exited', code: 137, cause: 'out-of-memory', detail: 'process 7' }),
      explainEnd({ kind: 'signaled', signal: 'SIGKILL', cause: 'grace-over' }),
      explainEnd({ kind: 'signaled', signal: 'SIGSEGV' }),
      explainEnd({ kind: 'fatal', error: 'NO_SUCH: program' }),
    ].map(({ text }) => text);
    assert.equal(new Set(texts).size, texts.length);
    assert.match(texts[1] ?? '', /exit code 3/);
    assert.match(texts[3] ?? '', /want of memory: process 7/);
    assert.match(texts[5] ?? '', /SIGSEGV/);
    assert.match(texts[6] ?? '', /NO_SUCH: program/);
  });
});
