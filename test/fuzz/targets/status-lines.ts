import assert from 'node:assert/strict';
import { ControlDecoder, encodeStatus, StatusDecoder, WireError } from '@enclaver/wire';
import { readOrRefuse, sameInPieces } from '../target.ts';

export const seeds = [
  '{"status":"running","phase":"ready","timings":{"initMs":1,"odynMs":2,"startingMs":3,"readyMs":4},"clock":"kvm-clock"}\n',
  '{"status":"running"}\n{"status":"exited","code":3,"cause":"out-of-memory","detail":"x"}\n',
  '{"status":"signaled","signal":9}\n{"status":"fatal","error":"a \\"b\\""}\n',
  '{"command":"stop","graceMs":1000}\n',
];

/** Status lines and requests: the same however they are cut, and what is taken can be written and read again. */
export function fuzz(input: Buffer): void {
  for (const Decoder of [StatusDecoder, ControlDecoder]) {
    const found = readOrRefuse(
      () =>
        sameInPieces(input, (pieces) => {
          const decoder = new Decoder();
          return pieces.flatMap((piece): unknown[] => decoder.push(piece));
        }),
      WireError,
    );
    if (found === undefined || Decoder === ControlDecoder) continue;
    for (const status of new StatusDecoder().push(input)) {
      const line = encodeStatus(status);
      const [again] = readOrRefuse(() => new StatusDecoder().push(line), WireError) ?? [];
      // A fatal error is cut to what a line holds
      if (again !== undefined && status.status !== 'fatal') assert.deepEqual(again, status);
    }
  }
}
