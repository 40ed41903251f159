import { pairs } from '@enclaver/http-forward';
import type { Client } from './message.ts';

/** What only a proxy may say. Apps that read CGI-like variables take `_` for `-`. */
const CLAIMS = /^(?:x[-_]forwarded[-_].*|forwarded|x[-_]real[-_]ip)$/i;

/** Takes out whatever the client said of this kind, and says it anew: nothing that a client sends can pass for our word. */
export function withForwarded(headers: readonly string[], authority: string, client: Client): string[] {
  const kept = [...pairs(headers)].filter(([name]) => !CLAIMS.test(name)).flat();
  kept.push('X-Forwarded-For', client.address, 'X-Forwarded-Proto', 'http');
  kept.push('X-Forwarded-Host', authority, 'X-Forwarded-Port', String(client.localPort));
  return kept;
}
