import type { Duplex } from 'node:stream';
import type { Screen } from '@enclaver/vsock';

/** What stands in place of the bytes that were taken away, and what had come behind them. */
export interface Passed {
  readonly head: Buffer;
  readonly rest: Buffer;
}

/**
 * The same for a stream as the relay does for a route: shows its first bytes to `screen` until that decides, and leaves it paused
 * behind them. 'undecided': it ended, was late, or sent more than may be looked at.
 */
export function screenStream(stream: Duplex, screen: Screen): Promise<Passed | 'refused' | 'undecided'> {
  return new Promise((resolve) => {
    let first: Buffer = Buffer.alloc(0);
    const settle = (result: Passed | 'refused' | 'undecided'): void => {
      clearTimeout(timer);
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd);
      resolve(result);
    };
    const onEnd = (): void => settle('undecided');
    const onReadable = (): void => {
      for (let piece = stream.read() as Buffer | null; piece !== null; piece = stream.read()) {
        first = first.length === 0 ? piece : Buffer.concat([first, piece]);
        const verdict = screen.decide(first.subarray(0, screen.maxBytes));
        if (verdict === 'more' && first.length < screen.maxBytes) continue;
        if (verdict === 'more') settle('undecided');
        else if (verdict === 'refuse') settle('refused');
        else settle({ head: verdict.head ?? Buffer.alloc(0), rest: first.subarray(verdict.pass) });
        return;
      }
    };
    const timer = setTimeout(() => settle('undecided'), screen.timeoutMs);
    stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd);
  });
}
