import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { BusError } from '../bus-error.ts';
import { decodeEvent } from '../event-watch.ts';
import type { EnclaveEvent } from '../events.ts';
import { limits } from '../limits.ts';
import { subjects } from '../subjects.ts';

export type FleetNews =
  | { host: string; event: EnclaveEvent }
  /** So many were dropped at the host before they were read. */
  | { host: string; missed: number }
  | { host: string; away: BusError }
  | { host: string; back: true };

const keptEventSchema = z.object({
  subject: z.string(),
  seq: z.number().int().min(1),
  data: z.base64().default(''),
});

type KeptEvent = z.infer<typeof keptEventSchema>;

/** Answer of JetStream to STREAM.MSG.GET (io.nats.jetstream.api.v1.stream_msg_get_response). */
const answerSchema = z.union([
  z.object({ message: keptEventSchema }),
  z.object({ error: z.object({ err_code: z.number(), description: z.string() }) }),
]);

const NO_MESSAGE_FOUND = 10037;

/**
 * The events of one host, read one after the other from the stream that the host keeps; so nothing is lost while the host, the
 * hub or the reader is away, and nothing comes twice. What the host says at once is only taken as a word that there is more.
 */
export class HostEvents implements AsyncIterable<FleetNews> {
  readonly #host: string;
  readonly #ask: (query: object) => Promise<Uint8Array>;
  readonly #signal: AbortSignal;
  /** Number of the next event to read; undefined: the one behind the last. */
  #next: number | undefined;
  #looks = 0;
  #rest = new AbortController();

  constructor(options: {
    host: string;
    ask: (query: object) => Promise<Uint8Array>;
    replay: boolean | undefined;
    signal: AbortSignal;
  }) {
    this.#host = options.host;
    this.#ask = options.ask;
    this.#signal = options.signal;
    this.#next = options.replay === true ? 1 : undefined;
  }

  /** There is, or will be in a moment, an event to read. */
  look(): void {
    this.#looks = limits.fleetLooks;
    this.#rest.abort();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FleetNews> {
    const host = this.#host;
    let isAway = false;
    while (!this.#signal.aborted) {
      try {
        this.#next ??= ((await this.#last())?.seq ?? 0) + 1;
        const kept = await this.#get({ seq: this.#next, next_by_subj: subjects.enclaveEvents() });
        if (isAway) yield { host, back: true };
        isAway = false;
        if (kept === undefined) {
          await this.#restBehindLast(this.#next);
          continue;
        }
        this.#looks = 0;
        if (kept.seq > this.#next && this.#next > 1) yield { host, missed: kept.seq - this.#next };
        this.#next = kept.seq + 1;
        const event = eventOf(kept);
        if (event !== undefined) yield { host, event };
      } catch (error) {
        if (!(error instanceof BusError)) throw error;
        if (!isAway) yield { host, away: error };
        isAway = true;
        await this.#pause(limits.fleetPollMs);
      }
    }
  }

  /** Waits for more. A host that was set up anew counts from 1 again: then that is where to go on. */
  async #restBehindLast(next: number): Promise<void> {
    if (this.#looks > 0) {
      this.#looks -= 1;
      await this.#pause(limits.fleetLookMs);
      return;
    }
    const last = await this.#last();
    if (last !== undefined && last.seq < next - 1) this.#next = 1;
    else if ((last === undefined || last.seq < next) && this.#looks === 0) await this.#pause(limits.fleetPollMs);
  }

  async #pause(ms: number): Promise<void> {
    this.#rest = new AbortController();
    await sleep(ms, undefined, { signal: AbortSignal.any([this.#signal, this.#rest.signal]) }).catch(() => undefined);
  }

  #last(): Promise<KeptEvent | undefined> {
    return this.#get({ last_by_subj: subjects.enclaveEvents() });
  }

  /** Undefined where there is none (yet). */
  async #get(query: object): Promise<KeptEvent | undefined> {
    const invalid = (why: string): BusError =>
      new BusError({ code: 'BUS_MESSAGE_INVALID', message: `${this.#host} gives its events in another form: ${why}` });
    let json: unknown;
    try {
      json = JSON.parse(Buffer.from(await this.#ask(query)).toString('utf8'));
    } catch (error) {
      throw error instanceof BusError ? error : invalid((error as Error).message);
    }
    const answer = answerSchema.safeParse(json);
    if (!answer.success) throw invalid(z.prettifyError(answer.error));
    if ('message' in answer.data) return answer.data.message;
    if (answer.data.error.err_code === NO_MESSAGE_FOUND) return undefined;
    throw invalid(answer.data.error.description);
  }
}

/** Undefined for what is no event that this version knows: it was not for us. */
function eventOf({ subject, data }: KeptEvent): EnclaveEvent | undefined {
  try {
    return decodeEvent(subject, Buffer.from(data, 'base64'));
  } catch (error) {
    if (error instanceof BusError) return undefined;
    throw error;
  }
}
