import type { Client } from './message.ts';

/** What only a proxy may say. Apps that read CGI-like variables take `_` for `-`. */
const CLAIMS = /^(?:x[-_]forwarded[-_].*|forwarded|x[-_]real[-_]ip)$/i;

/** Takes out whatever the client said of this kind: nothing that a client sends can pass for our word. */
export function withoutClaims(fields: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (!CLAIMS.test(name)) kept.push(name, fields[i + 1] ?? '');
  }
  return kept;
}

/** Says it anew in its place. */
export function withForwarded(headers: readonly string[], authority: string, client: Client): string[] {
  const kept = withoutClaims(headers);
  kept.push('X-Forwarded-For', client.address, 'X-Forwarded-Proto', client.proto);
  kept.push('X-Forwarded-Host', authority, 'X-Forwarded-Port', String(client.localPort));
  return kept;
}
