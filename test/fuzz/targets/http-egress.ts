import { essence, FramingBench } from '../../../odyn/test/properties/framing-bench.ts';
import { LAST } from '../../../odyn/test/properties/http-messages.ts';
import { ByTheLetter } from '../by-the-letter.ts';

export const seeds = [
  'GET http://a.example/x HTTP/1.1\r\nHost: x\r\nConnection: x-a\r\nX-A: 1\r\n\r\n',
  'POST http://a.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc',
  'POST http://c.example:8080/?q HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  'GET http://a.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
];

let opened: Promise<ByTheLetter> | undefined;

/** odyn's proxy: nothing arrives at a server but requests that were there by the letter, whatever an app sends. */
export async function fuzz(input: Buffer): Promise<void> {
  opened ??= FramingBench.open().then((bench) => ByTheLetter.open(bench, LAST, essence, seeds[0] ?? ''));
  await (await opened).hold(input);
}
