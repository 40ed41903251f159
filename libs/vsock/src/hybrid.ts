/** The line that opens a stream through a Unix-socket vsock device (Firecracker, vhost-device-vsock). */
import { isU32 } from './address.ts';
import { limits } from './limits.ts';

export function connectLine(port: number): string {
  return `CONNECT ${port}\n`;
}

/** The port a `CONNECT <port>\n` line asks for, the keyword in any case; undefined when it is no such line. */
export function parseConnectLine(line: string): number | undefined {
  const digits = /^connect ([0-9]{1,10})\n$/i.exec(line)?.[1];
  const port = Number(digits);
  return digits !== undefined && isU32(port) ? port : undefined;
}

/** The answer so far: how many bytes its line has once it is whole and says OK. The number in it means nothing. */
export function parseAnswer(bytes: Buffer): { state: 'partial' | 'refused' } | { state: 'connected'; length: number } {
  const end = bytes.indexOf(0x0a);
  if (end < 0) return { state: bytes.length < limits.answerBytes ? 'partial' : 'refused' };
  return /^OK [0-9]+$/.test(bytes.toString('latin1', 0, end))
    ? { state: 'connected', length: end + 1 }
    : { state: 'refused' };
}
