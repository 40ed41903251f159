import { constants } from 'node:os';
import * as z from 'zod';
import { LineSplitter } from './lines.ts';
import { WireError } from './wire-error.ts';

/**
 * Status protocol (vsock 17000): the enclave sends its current state on connect and one JSON line per change.
 *
 * `status` and its companions are what the Rust original sends and reads. `phase` and `timings` are ours: the original
 * says `running` from the first moment on, so a reader could not tell a booting enclave from one that serves.
 * Unlike the original we send `signal` by name and accept a number, too (its two halves disagree: fault D1),
 * and we encode with a JSON encoder (its error text is not escaped: fault D2).
 */

/** Longest status line in bytes, LF excluded. The original stops at 1,024; error texts with a cause chain need more. */
export const STATUS_LINE_MAX = 8192;

/**
 * Longest text put into a status line, in characters: JSON writes six bytes for a control character, and with the words about the
 * clock and all figures beside it the line stays below its bound.
 */
const ERROR_TEXT_MAX = 1000;

/** Longest words about the clock. */
const CLOCK_TEXT_MAX = 200;

/** Milliseconds since the guest's kernel clock started (CLOCK_BOOTTIME), at each step of the boot. */
const timings = z.object({
  initMs: z.number().nonnegative(),
  odynMs: z.number().nonnegative(),
  startingMs: z.number().nonnegative(),
  readyMs: z.number().nonnegative().optional(),
});

/** First of the real-time signals that programs have. */
const SIGRTMIN = 34;

const signalNumber = z.number().int().min(1).max(64);
const signalName = z.string().regex(/^SIG[A-Z0-9+-]{1,16}$/);

const figure = z.int().min(0);

/**
 * Figures of the inside, for enclaves whose manifest says `metrics: true`: sums since the start, and bytes. Numbers alone, under
 * these names alone: neither a host nor a path can be told by them. Missing is what the enclave does not have.
 */
const figures = z.object({
  memoryTotalBytes: figure,
  memoryAvailableBytes: figure,
  odynResidentBytes: figure,
  ingressAccepted: figure,
  /** Over a bound or a rate, or kept out by rules. */
  ingressRefused: figure,
  egressOpened: figure.optional(),
  egressRefused: figure.optional(),
  egressFailed: figure.optional(),
  kmsAttested: figure.optional(),
  kmsForwarded: figure.optional(),
  kmsRefused: figure.optional(),
  kmsFailed: figure.optional(),
});

const running = z.object({
  status: z.literal('running'),
  phase: z.enum(['starting', 'ready', 'unhealthy', 'stopping']).optional(),
  reason: z.string().max(ERROR_TEXT_MAX).optional(),
  timings: timings.optional(),
  /** How the clock inside is, in words. */
  clock: z.string().max(CLOCK_TEXT_MAX).optional(),
  figures: figures.optional(),
});
/** Why the app ended as it did, where that is known: a word for programs (`out-of-memory`, `grace-over`), and a text. */
const cause = {
  cause: z
    .string()
    .regex(/^[a-z]{1,16}(-[a-z]{1,16}){0,3}$/)
    .optional(),
  detail: z.string().max(ERROR_TEXT_MAX).optional(),
};
const exited = z.object({ status: z.literal('exited'), code: z.number().int(), ...cause });
const signaled = z.object({
  status: z.literal('signaled'),
  signal: z.union([signalName, signalNumber.transform(signalNameOf)]),
  ...cause,
});
const fatal = z.object({ status: z.literal('fatal'), error: z.string() });

const statusSchema = z.discriminatedUnion('status', [running, exited, signaled, fatal]);

export type EnclaveFigures = z.infer<typeof figures>;
export type BootTimings = z.infer<typeof timings>;
export type EnclaveStatus = z.output<typeof statusSchema>;

/** The states after which nothing more comes. */
export function isFinal(status: EnclaveStatus): boolean {
  return status.status !== 'running';
}

/** One status line with its LF, its texts cut to what fits. */
export function encodeStatus(status: EnclaveStatus): Buffer {
  const cut = (key: string, value: unknown): unknown =>
    typeof value === 'string' ? value.slice(0, key === 'clock' ? CLOCK_TEXT_MAX : ERROR_TEXT_MAX) : value;
  return Buffer.from(`${JSON.stringify(status, cut)}\n`);
}

/**
 * Request from the parent on the same connection: stop the app (the image's stop signal, then SIGKILL after the grace time).
 * The original has no such message; a parent that sends none gets the original's behaviour.
 */
const controlSchema = z.strictObject({
  command: z.literal('stop'),
  graceMs: z.number().int().min(0).max(3_600_000),
});

export type ControlRequest = z.infer<typeof controlSchema>;

/** Longest control line in bytes: the only request there is takes under 64. */
export const CONTROL_LINE_MAX = 256;

/** One control line with its LF. */
export function encodeControl(request: ControlRequest): Buffer {
  return Buffer.from(`${JSON.stringify(request)}\n`);
}

/** Reads status lines out of a byte stream. `push` throws `WireError` on a line that is too long or not a status. */
export class StatusDecoder {
  readonly #lines = new LineSplitter(STATUS_LINE_MAX);

  push(chunk: Buffer): EnclaveStatus[] {
    return this.#lines.push(chunk).map((line) => parseLine(line, statusSchema, 'status'));
  }
}

/** Reads control lines out of a byte stream. `push` throws `WireError` on a line that is too long or unknown. */
export class ControlDecoder {
  readonly #lines = new LineSplitter(CONTROL_LINE_MAX);

  push(chunk: Buffer): ControlRequest[] {
    return this.#lines.push(chunk).map((line) => parseLine(line, controlSchema, 'control'));
  }
}

function parseLine<S extends z.ZodType>(line: Buffer, schema: S, what: string): z.output<S> {
  let json: unknown;
  try {
    json = JSON.parse(line.toString('utf8'));
  } catch (cause) {
    throw new WireError('LINE_INVALID', `${what} line is not JSON`, { cause });
  }
  const result = schema.safeParse(json);
  if (!result.success) {
    throw new WireError('LINE_INVALID', `${what} line is not one we know: ${z.prettifyError(result.error)}`);
  }
  return result.data;
}

/** Name of a signal by its number, 1 to 64. */
export function signalNameOf(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  if (found !== undefined) return found[0];
  // Real-time signals have no names of their own; two of them belong to the C library
  return number < SIGRTMIN ? `SIG${number}` : `SIGRTMIN+${number - SIGRTMIN}`;
}

/** Number of a signal name, undefined for one this system does not know. */
export function signalNumberOf(name: string): number | undefined {
  const numbers: Record<string, number> = constants.signals;
  return numbers[name];
}
