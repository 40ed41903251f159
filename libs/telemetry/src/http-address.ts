/** Where an HTTP listener is: a part of `ENCLAVER_HTTP` as the user wrote it, read. */
export type HttpAddress = { type: 'tcp'; host: string; port: number } | { type: 'unix'; path: string };

/** Reads `port` (on 127.0.0.1), `host:port`, `[v6]:port` or `unix:/absolute/path`; undefined for anything else. */
export function parseHttpAddress(text: string): HttpAddress | undefined {
  if (text.startsWith('unix:/')) return { type: 'unix', path: text.slice('unix:'.length) };
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return undefined;
  return { type: 'tcp', host: match[1] ?? match[2] ?? '127.0.0.1', port };
}

/** One address or more with commas between them. A Unix socket is the last one: its path may have commas. */
export function parseHttpAddresses(text: string): HttpAddress[] | undefined {
  const comma = text.startsWith('unix:') ? -1 : text.indexOf(',');
  if (comma === -1) {
    const last = parseHttpAddress(text);
    return last && [last];
  }
  const first = parseHttpAddress(text.slice(0, comma));
  const others = parseHttpAddresses(text.slice(comma + 1));
  return first && others && [first, ...others];
}
