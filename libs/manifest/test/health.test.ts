import assert from 'node:assert/strict';
import fc from 'fast-check';
import { holds } from '../../../test/properties/cases.ts';
import { parseManifest } from '../src/index.ts';
import { minimal, problemsOf } from './support.ts';

const health = (text: string) => parseManifest(minimal(`health: ${text}\n`)).health;
const problems = (text: string) =>
  problemsOf(minimal(text)).map(({ code, path, found }) => `${code} ${path}: ${found}`);

describe('the manifest: health', () => {
  it('has defaults for all but the port', () => {
    assert.deepEqual(health('{ tcp: { port: 8080 } }'), {
      check: { type: 'tcp', port: 8080 },
      intervalMs: 10_000,
      timeoutMs: 2_000,
      retries: 3,
      startPeriodMs: 60_000,
    });
    assert.deepEqual(health('{ http: { port: 1 }, tcp: null }')?.check, { type: 'http', port: 1, path: '/' });
  });

  it('takes durations as Compose files have them', () => {
    const text =
      '{ http: { port: 1, path: "/up?x=1", status: 204 }, interval: 1m30s, timeout: 500ms, start_period: 2h }';
    assert.deepEqual(health(text), {
      check: { type: 'http', port: 1, path: '/up?x=1', status: 204 },
      intervalMs: 90_000,
      timeoutMs: 500,
      retries: 3,
      startPeriodMs: 7_200_000,
    });
    for (const wrong of ['10', '10 s', '1.5s', '-1s', '1s1m', '""', '10seconds', '0s', '2h']) {
      const found = problems(`health: { tcp: { port: 1 }, interval: ${wrong} }\n`);
      assert.match(found.join(), /^(?:BAD_VALUE|WRONG_TYPE) health\.interval: /, wrong);
    }
  });

  it('reads every duration as what its parts add up to', () =>
    holds(
      fc.property(
        fc.record({ h: fc.integer({ min: 0, max: 23 }), m: fc.nat(59), s: fc.nat(59), ms: fc.nat(999) }),
        ({ h, m, s, ms }) => {
          const text = `${h ? `${h}h` : ''}${m ? `${m}m` : ''}${s ? `${s}s` : ''}${ms}ms`;
          const read = health(`{ tcp: { port: 1 }, start_period: ${text} }`)?.startPeriodMs;
          assert.equal(read, ((h * 60 + m) * 60 + s) * 1000 + ms);
        },
      ),
      200,
    ));

  it('is of one kind', () => {
    assert.deepEqual(problems('health: {}\n'), ['CONFLICT health: a health check that checks nothing']);
    assert.deepEqual(problems('health: { tcp: { port: 1 }, http: { port: 1 } }\n'), [
      'CONFLICT health: both "tcp" and "http"',
    ]);
  });

  it('looks at a port of the app, which may be one of ingress, and at none of Enclaver', () => {
    assert.ok(parseManifest(minimal('ingress: [{ listen_port: 80 }]\nhealth: { tcp: { port: 80 } }\n')).health);
    assert.deepEqual(problems('api: { listen_port: 7777 }\nhealth: { http: { port: 7777 } }\n'), [
      'CONFLICT health.http.port: port 7777, at which api.listen_port lets Enclaver itself listen',
    ]);
  });

  it('asks for a path and nothing that could be more', () => {
    for (const path of ['healthz', '"/a b"', '"/a\\r\\nX: y"', '"/ü"', 'http://other/']) {
      assert.match(
        problems(`health: { http: { port: 1, path: ${path} } }\n`).join(),
        /^BAD_VALUE health\.http\.path: /,
      );
    }
  });
});
