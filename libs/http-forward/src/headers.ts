/** For one connection only (RFC 9110, section 7.6.1), however `Connection` lists them; and what the proxy says itself. */
const HOP_BY_HOP = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Headers to pass on, from Node's `rawHeaders` and in their order and spelling: name, value, name, value …
 * `drop` are more names, in small letters.
 */
export function endToEnd(rawHeaders: readonly string[], drop: readonly string[] = []): string[] {
  const names: string[] = [];
  const listed: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase();
    names.push(name);
    if (name !== 'connection') continue;
    for (const token of (rawHeaders[i + 1] ?? '').split(',')) listed.push(token.trim().toLowerCase());
  }
  const passed: string[] = [];
  for (let i = 0; i < names.length; i++) {
    const name = names[i] ?? '';
    if (HOP_BY_HOP.has(name) || drop.includes(name)) continue;
    // Framing is never up to a peer's Connection header: without its length a body would run into the next message
    if (listed.includes(name) && name !== 'content-length') continue;
    passed.push(rawHeaders[i * 2] ?? '', rawHeaders[i * 2 + 1] ?? '');
  }
  return passed;
}

/** Name and value of each header, from Node's `rawHeaders`. */
export function* pairs(rawHeaders: readonly string[]): Generator<[name: string, value: string]> {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) yield [rawHeaders[i] ?? '', rawHeaders[i + 1] ?? ''];
}

/** The headers by which one side asks for, or agrees to, another protocol. */
export function upgradeTo({ headers }: { headers: { upgrade?: string | undefined } }): string[] {
  return ['Connection', 'Upgrade', 'Upgrade', headers.upgrade ?? ''];
}

/** A whole head as text, to be written as Latin-1: as Node has read it, the bytes stay what they were. */
export function rawHead(firstLine: string, headers: readonly string[]): string {
  const lines = [firstLine];
  for (const [name, value] of pairs(headers)) lines.push(`${name}: ${value}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
