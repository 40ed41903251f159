import type { Client } from './message.ts';

/** What only a proxy may say. Apps that read CGI-like variables take `_` for `-`. */
const CLAIMS = /^(?:x[-_]forwarded[-_].*|forwarded|x[-_]real[-_]ip)$/i;

/** Takes out whatever the client said of this kind, and says it anew: nothing that a client sends can pass for our word. */
export function withForwarded(headers: readonly string[], authority: string, client: Client): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!CLAIMS.test(name)) kept.push(name, headers[i + 1] ?? '');
  }
  kept.push('X-Forwarded-For', client.address, 'X-Forwarded-Proto', client.proto);
  kept.push('X-Forwarded-Host', authority, 'X-Forwarded-Port', String(client.localPort));
  return kept;
}
