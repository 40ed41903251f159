import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  answerOf,
  type Cancel,
  endToEnd,
  exchange,
  KeptConnections,
  requestOver,
  upgradeTo,
  type Way,
} from '@enclaver/http-forward';
import { limits } from '../limits.ts';
import type { Answer, Asked } from './message.ts';
import type { Upgraded, Upstream } from './upstream.ts';

/** An app that speaks HTTP/1.1: one connection for each request under way, and some kept for the next. */
export class Http1Upstream implements Upstream {
  readonly #open: () => Promise<Duplex>;
  readonly #kept = new KeptConnections({
    each: limits.httpKept,
    all: limits.httpKept,
    idleMs: limits.httpKeptMs,
  });
  #closed = false;

  /** `open` dials the port inside. */
  constructor(open: () => Promise<Duplex>) {
    this.#open = open;
  }

  async ask(asked: Asked, signal: Cancel): Promise<Answer> {
    const way: Way = {
      kept: () => this.#kept.take(''),
      open: this.#open,
      keep: (stream, keepAlive) => {
        if (this.#closed) stream.destroy();
        else this.#kept.give('', stream, keepAlive);
      },
      maxHeaderSize: limits.httpAnswerHeaderBytes,
    };
    return answer(await exchange(asked, headOf(asked), way, signal));
  }

  async upgrade(asked: Asked, protocol: string, signal: Cancel): Promise<Upgraded | Answer> {
    const own = upgradeTo({ headers: { upgrade: protocol } });
    const upstream = requestOver(await this.#open(), headOf(asked), own, limits.httpAnswerHeaderBytes);
    const cancel = (): void => void upstream.destroy();
    signal.addEventListener('abort', cancel);
    if (signal.aborted) cancel();
    let upgraded: Upgraded | undefined;
    upstream.once('upgrade', (answered: IncomingMessage, stream: Duplex, first: Buffer) => {
      upgraded = { stream, first, headers: [...endToEnd(answered.rawHeaders), ...upgradeTo(answered)] };
    });
    upstream.end();
    const answered = await answerOf(upstream);
    if (answered !== undefined) return answer(answered);
    return upgraded as unknown as Upgraded;
  }

  close(): void {
    this.#closed = true;
    this.#kept.close();
  }
}

function headOf({ method, target, authority, headers, framing }: Asked) {
  return { method, path: target, headers: ['Host', authority, ...headers], framing };
}

function answer(answered: IncomingMessage): Answer {
  return {
    status: answered.statusCode ?? 502,
    reason: answered.statusMessage ?? '',
    headers: endToEnd(answered.rawHeaders),
    body: answered,
    isWhole: answered.complete,
    isHeadOnly: false,
    trailers: () => endToEnd(answered.rawTrailers),
  };
}
