import assert from 'node:assert/strict';
import { type Message, readRequests } from '../../odyn/test/properties/strict-http.ts';

/** Inputs whose requests may still be on their way when the next ones are sent: a busy machine is some of them behind. */
const REMEMBERED = 500;

/** A proxy with a client that sends anything before it, and a server behind it that reads by the letter. */
export interface ProxyBench {
  /** Sends bytes as they are, and waits until the connection is closed or quiet for this long. */
  exchange(text: string, quietMs: number): Promise<unknown>;
  /** What has arrived at the server since the last exchange began. */
  readonly arrived: readonly Message[];
  /** Something has arrived that is no request. */
  readonly isBroken: boolean;
}

/** So long without a byte there will be none: what arrives later is looked at with the next input. */
const QUIET_MS = 5;
/** The first exchange: whatever the machine does, what is sent has to arrive. */
const FIRST_QUIET_MS = 5_000;

/** Holds that nothing arrives but requests that were there by the letter. */
export class ByTheLetter {
  readonly #bench: ProxyBench;
  readonly #last: string;
  readonly #essence: (message: Message) => string;
  readonly #sent: Set<string>[] = [];

  private constructor(bench: ProxyBench, last: string, essence: (message: Message) => string) {
    this.#bench = bench;
    this.#last = last;
    this.#essence = essence;
  }

  /** @param last a request that closes its connection, sent behind each input @param essence what must arrive as it was sent */
  static async open(
    bench: ProxyBench,
    last: string,
    essence: (message: Message) => string,
    seed: string,
  ): Promise<ByTheLetter> {
    const made = new ByTheLetter(bench, last, essence);
    await made.#send(seed, FIRST_QUIET_MS);
    // Otherwise nothing would be held of anything
    assert.ok(bench.arrived.length >= 2, 'the first seed has arrived, and the last request');
    return made;
  }

  async hold(input: Buffer): Promise<void> {
    await this.#send(input.toString('latin1'), QUIET_MS);
  }

  async #send(text: string, quietMs: number): Promise<void> {
    const { messages } = readRequests(text + this.#last);
    this.#sent.push(new Set(messages.map(this.#essence)));
    if (this.#sent.length > REMEMBERED) this.#sent.shift();
    await this.#bench.exchange(text + this.#last, quietMs);
    assert.equal(this.#bench.isBroken, false, 'what arrived can be read in two ways');
    for (const each of this.#bench.arrived.map(this.#essence))
      assert.ok(
        this.#sent.some((sent) => sent.has(each)),
        `arrived: ${each}`,
      );
  }
}
