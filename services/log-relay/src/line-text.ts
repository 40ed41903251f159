import { isUtf8 } from 'node:buffer';

/** Bytes of a line as they go into a message: text where they are UTF-8, else base64. */
export function lineText(bytes: Buffer): { text: string; encoding?: 'base64' } {
  return isUtf8(bytes) ? { text: bytes.toString('utf8') } : { text: bytes.toString('base64'), encoding: 'base64' };
}

/** Writes times; lines that come together mostly have the same one. */
export class IsoTimes {
  #timeUs = -1n;
  #text = '';

  of(timeUs: bigint): string {
    if (timeUs !== this.#timeUs) {
      this.#timeUs = timeUs;
      this.#text = isoTime(timeUs);
    }
    return this.#text;
  }
}

/** Microseconds since 1970 as ISO 8601. The enclave may claim anything: a time that no date can hold becomes the nearest one. */
function isoTime(timeUs: bigint): string {
  const latestUs = 253_402_300_799_999_999n; // 9999-12-31T23:59:59.999999Z, the last with a four-digit year
  const us = timeUs > latestUs ? latestUs : timeUs;
  const micros = (us % 1000n).toString().padStart(3, '0');
  return `${new Date(Number(us / 1000n)).toISOString().slice(0, -1)}${micros}Z`;
}
