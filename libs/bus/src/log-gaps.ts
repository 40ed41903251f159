import * as z from 'zod';
import { limits } from './limits.ts';
import type { LogMessage } from './logs.ts';

/** Numbers that the next lines of one enclave will have: of its records, of its console; absent where none was seen. */
const placeSchema = z.object({ records: z.number().int().min(0), console: z.number().int().min(0) }).partial();
export const logPlacesSchema = z.record(z.string(), placeSchema);

type Place = z.infer<typeof placeSchema>;
export type LogPlaces = z.infer<typeof logPlacesSchema>;

/**
 * Counts the lines that a reader of the bus has missed because the bus has dropped them: numbers of lines have no gaps but
 * those that a `lost` message names. Knows the enclaves it heard of last.
 */
export class LogGaps {
  readonly #places: Map<string, Place>;

  /** `places` of an earlier reader, so that what was dropped between the two is counted, too. */
  constructor(places: LogPlaces = {}) {
    this.#places = new Map(Object.entries(places));
  }

  get places(): LogPlaces {
    return Object.fromEntries(this.#places);
  }

  /**
   * How many lines are missing before this message that nobody has named. `begins` says whether the log of an enclave not
   * heard of before is expected to begin here, with line 0.
   */
  take(message: LogMessage, begins: boolean): number {
    const place = this.#placeOf(message.id);
    if (message.lost !== undefined && (begins || place.records !== undefined)) {
      place.records = (place.records ?? 0) + message.lost;
    }
    const first = message.lines[0]?.sequence;
    const last = message.lines.at(-1)?.sequence;
    if (first === undefined || last === undefined) return 0;
    const count = message.lines[0]?.stream === 'console' ? 'console' : 'records';
    const expected = place[count] ?? (begins ? 0 : first);
    place[count] = last + 1;
    return Math.max(0, first - expected);
  }

  /** Moves the enclave to the end, so that the one that has been silent for longest is forgotten first. */
  #placeOf(id: string): Place {
    const place = this.#places.get(id) ?? {};
    this.#places.delete(id);
    this.#places.set(id, place);
    const [oldest] = this.#places.keys();
    if (this.#places.size > limits.logPlaces && oldest !== undefined) this.#places.delete(oldest);
    return place;
  }
}
