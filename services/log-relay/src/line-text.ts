const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes of a line as they go into a message: text where they are UTF-8, else base64. */
export function lineText(bytes: Buffer): { text: string; encoding?: 'base64' } {
  try {
    return { text: decoder.decode(bytes) };
  } catch {
    // Not UTF-8 is a finding here, not a failure: the bytes go out as they are
    return { text: bytes.toString('base64'), encoding: 'base64' };
  }
}

/** Microseconds since 1970 as ISO 8601. The enclave may claim anything: a time that no date can hold becomes the nearest one. */
export function isoTime(timeUs: bigint): string {
  const latestUs = 253_402_300_799_999_999n; // 9999-12-31T23:59:59.999999Z, the last with a four-digit year
  const us = timeUs > latestUs ? latestUs : timeUs;
  const micros = (us % 1000n).toString().padStart(3, '0');
  return `${new Date(Number(us / 1000n)).toISOString().slice(0, -1)}${micros}Z`;
}
