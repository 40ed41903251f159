import { LOG_PAYLOAD_MAX } from '@enclaver/wire';
import { type LogRing, nowUs } from './log-ring.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** odyn's own lines: one JSON object each, in the stream `odyn` of the log. */
export class OdynLog {
  readonly #ring: LogRing;

  constructor(ring: LogRing) {
    this.#ring = ring;
  }

  debug(message: string, fields: Fields = {}): void {
    this.#write('debug', message, fields);
  }

  info(message: string, fields: Fields = {}): void {
    this.#write('info', message, fields);
  }

  warn(message: string, fields: Fields = {}): void {
    this.#write('warn', message, fields);
  }

  error(message: string, fields: Fields = {}): void {
    this.#write('error', message, fields);
  }

  #write(level: Level, msg: string, fields: Fields): void {
    const line = Buffer.from(JSON.stringify({ level, time: new Date().toISOString(), msg, ...fields }));
    this.#ring.append('odyn', line, 0, Math.min(line.length, LOG_PAYLOAD_MAX), false, nowUs());
    this.#ring.announce();
  }
}
