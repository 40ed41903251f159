import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  CONTROL_LINE_MAX,
  ControlDecoder,
  type EnclaveStatus,
  encodeControl,
  encodeStatus,
  isFinal,
  STATUS_LINE_MAX,
  StatusDecoder,
} from '../src/index.ts';

const decode = (text: string | Buffer): EnclaveStatus[] => new StatusDecoder().push(Buffer.from(text));

describe('status lines', () => {
  it('are those that the original reads', () => {
    assert.equal(encodeStatus({ status: 'running' }).toString(), '{"status":"running"}\n');
    assert.equal(encodeStatus({ status: 'exited', code: 3 }).toString(), '{"status":"exited","code":3}\n');
    assert.equal(
      encodeStatus({ status: 'signaled', signal: 'SIGTERM' }).toString(),
      '{"status":"signaled","signal":"SIGTERM"}\n',
    );
  });

  it('carry words about the clock', () => {
    const status: EnclaveStatus = { status: 'running', phase: 'ready', clock: 'kvm-clock, within 1 s of the NSM' };
    assert.deepEqual(decode(encodeStatus(status)), [status]);
  });

  it('carry figures of known names alone', () => {
    const figures = {
      memoryTotalBytes: 1,
      memoryAvailableBytes: 1,
      odynResidentBytes: 1,
      ingressAccepted: 0,
      ingressRefused: 0,
    };
    const line = JSON.stringify({ status: 'running', figures: { ...figures, 'secret.example.com': 1 } });
    assert.deepEqual(decode(`${line}\n`), [{ status: 'running', figures }]);
    for (const wrong of [-1, 1.5, '1', 2 ** 60]) {
      const bad = JSON.stringify({ status: 'running', figures: { ...figures, ingressAccepted: wrong } });
      assert.throws(() => decode(`${bad}\n`), { code: 'LINE_INVALID' }, String(wrong));
    }
  });

  it('give a signal by name whether it comes as name or number (D1)', () => {
    assert.deepEqual(decode('{"status":"signaled","signal":"SIGKILL"}\n'), [{ status: 'signaled', signal: 'SIGKILL' }]);
    assert.deepEqual(decode('{"status":"signaled","signal":9}\n'), [{ status: 'signaled', signal: 'SIGKILL' }]);
    assert.deepEqual(decode('{"status":"signaled","signal":40}\n'), [{ status: 'signaled', signal: 'SIGRTMIN+6' }]);
  });

  it('survive any error text: quotes, newlines, control characters, length (D2, B-6)', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 4000 }), (error) => {
        const line = encodeStatus({ status: 'fatal', error });
        assert.equal(line.indexOf('\n'), line.length - 1);
        assert.ok(line.length <= STATUS_LINE_MAX);
        const [status] = decode(line);
        assert.ok(
          status?.status === 'fatal' && error.toWellFormed().startsWith(status.error.slice(0, 100).toWellFormed()),
        );
      }),
    );
  });

  it('are never longer than a reader takes, whatever stands in their texts', () => {
    const most = Number.MAX_SAFE_INTEGER;
    const figures = {
      ...{ memoryTotalBytes: most, memoryAvailableBytes: most, odynResidentBytes: most, ingressAccepted: most },
      ...{ ingressRefused: most, egressOpened: most, egressRefused: most, egressFailed: most },
      ...{ kmsAttested: most, kmsForwarded: most, kmsRefused: most, kmsFailed: most },
    };
    const timings = { initMs: 1e300 / 3, odynMs: 1e300 / 3, startingMs: 1e300 / 3, readyMs: 1e300 / 3 };
    // What JSON makes most of: six bytes each
    for (const text of ['\u0001', '\ud800'].map((unit) => unit.repeat(4000))) {
      const statuses: EnclaveStatus[] = [
        { status: 'running', phase: 'unhealthy', reason: text, clock: text, figures, timings },
        { status: 'exited', code: 1, cause: 'out-of-memory', detail: text },
        { status: 'signaled', signal: 'SIGKILL', cause: 'grace-over', detail: text },
        { status: 'fatal', error: text },
      ];
      for (const status of statuses) assert.equal(decode(encodeStatus(status))[0]?.status, status.status);
    }
  });

  it('come whole out of any cutting of the stream', () => {
    const lines: EnclaveStatus[] = [
      { status: 'running', phase: 'starting', timings: { initMs: 1, odynMs: 2, startingMs: 3 } },
      { status: 'running', phase: 'ready' },
      { status: 'exited', code: 0 },
    ];
    const bytes = Buffer.concat(lines.map(encodeStatus));
    for (let size = 1; size <= bytes.length; size++) {
      const decoder = new StatusDecoder();
      const seen: EnclaveStatus[] = [];
      for (let at = 0; at < bytes.length; at += size) seen.push(...decoder.push(bytes.subarray(at, at + size)));
      assert.deepEqual(seen, lines);
    }
  });

  it('that are none are refused, and one without an end is not collected for ever', () => {
    for (const line of [
      '',
      'null',
      '{}',
      '{"status":"paused"}',
      '{"status":"exited"}',
      '{"status":"signaled","signal":0}',
    ]) {
      assert.throws(() => decode(`${line}\n`), { code: 'LINE_INVALID' }, line);
    }
    assert.throws(() => decode('x'.repeat(STATUS_LINE_MAX + 1)), { code: 'LINE_TOO_LONG' });
  });

  it('say which states are the last', () => {
    assert.equal(isFinal({ status: 'running', phase: 'ready' }), false);
    assert.equal(isFinal({ status: 'exited', code: 0 }), true);
    assert.equal(isFinal({ status: 'fatal', error: '' }), true);
  });
});

describe('control lines', () => {
  it('ask for a stop', () => {
    const request = { command: 'stop', graceMs: 10_000 } as const;
    assert.deepEqual(new ControlDecoder().push(encodeControl(request)), [request]);
  });

  it('that are none are refused', () => {
    for (const line of ['{"command":"start"}', '{"command":"stop"}', '{"command":"stop","graceMs":-1}', 'stop']) {
      assert.throws(() => new ControlDecoder().push(Buffer.from(`${line}\n`)), { code: 'LINE_INVALID' }, line);
    }
    assert.throws(() => new ControlDecoder().push(Buffer.alloc(CONTROL_LINE_MAX + 1, 'x')), { code: 'LINE_TOO_LONG' });
  });
});
