import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import fc from 'fast-check';
import { holds } from '../../../test/properties/cases.ts';
import { textMutationsOf } from '../../../test/properties/mutations.ts';
import { EgressProxy, portOf } from '../egress-proxy.ts';
import { FakeParent } from '../harness.ts';
import { answer, LAST, request, trick } from './http-messages.ts';
import { isLast, type Message, readAnswers, readRequests, valuesOf } from './strict-http.ts';

/** A client that waits this long for an answer gets none: the proxy waits for the rest of a body. */
const QUIET_MS = 40;

/** What the proxy says for one connection only, or by itself. */
const OWN = [
  'connection',
  'keep-alive',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'host',
  'expect',
  'http2-settings',
];

/** What has to arrive of a request, however it travels. */
function essence({ start: [method, target], headers, body }: Message): string {
  const listed = valuesOf({ headers }, 'connection').flatMap((value) => value.toLowerCase().split(/[\t ]*,[\t ]*/));
  const path = target
    .replace(/^http:\/\/[^/?]*/i, '')
    .replace(/^(?=\?|$)/, method === 'OPTIONS' && !/[/?]/.test(target.slice(7)) ? '*' : '/');
  const passed = headers.filter(([name]) => !OWN.includes(name) && !listed.includes(name));
  return JSON.stringify([method, path, passed, body]);
}

describe('framing of HTTP through the egress proxy', () => {
  let parent: FakeParent;
  let opened: EgressProxy;
  let server: Server;
  /** Whole requests that arrived at the server, and whether anything arrived that was none. */
  let arrived: Message[];
  let isBroken: boolean;
  let reply: (request: Message) => string;
  /** The server closes after its first answer. */
  let closes: boolean;

  before(async () => {
    parent = await FakeParent.make();
    await parent.listen();
    // A server that reads with the strict reader: what it cannot read shows that the proxy has sent something doubtful
    server = createServer((socket) => {
      let text = '';
      let count = 0;
      socket.setEncoding('latin1');
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk: string) => {
        text += chunk;
        const { messages, end } = readRequests(text);
        if (end === 'bad') isBroken = true;
        for (const message of messages.slice(count)) {
          arrived.push(message);
          socket.write(reply(message), 'latin1');
          if (closes) socket.end();
        }
        count = messages.length;
        // A kept connection brings thousands: what has been read is not read again with each
        if (end === 'whole') [text, count] = ['', 0];
      });
    });
    const to = await portOf(server);
    parent.answer = () => ({ reply: { Ok: { address: '93.184.216.34' } }, to });
    opened = await EgressProxy.open(parent, { allow: ['**.example'], deny: ['evil.example'] });
  });

  after(async () => {
    await opened.close();
    await parent.close();
    server.close();
  });

  beforeEach(() => {
    arrived = [];
    isBroken = false;
    closes = false;
    reply = echo;
  });

  /** Sends bytes as they are; gives all that comes back until the proxy closes, or says nothing more. */
  async function exchange(text: string, quietMs = QUIET_MS): Promise<string> {
    arrived = [];
    isBroken = false;
    const socket = connect({ port: opened.egress.port, host: '127.0.0.1' });
    let got = '';
    let quiet = setTimeout(() => socket.end(), 10 * quietMs);
    socket.setEncoding('latin1');
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: string) => {
      got += chunk;
      clearTimeout(quiet);
      quiet = setTimeout(() => socket.end(), quietMs);
    });
    socket.write(text, 'latin1');
    await once(socket, 'close');
    clearTimeout(quiet);
    return got;
  }

  const echo = (message: Message): string => {
    const text = message.start[0] === 'HEAD' ? '' : essence(message);
    return `HTTP/1.1 200 OK\r\nX-Asked: ${Buffer.from(essence(message), 'latin1').toString('base64url')}\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
  };

  it('brings every request of a connection to the server as it is, and each answer to its request', async () => {
    await holds(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), async (requests) => {
        const text = requests.join('') + LAST;
        const sent = readRequests(text);
        assert.equal(sent.end, 'whole');
        // All of them are answered, and the connection is closed: however busy the machine is
        const got = await exchange(text, 5_000);
        assert.deepEqual(arrived.map(essence).sort(), sent.messages.map(essence).sort());
        assert.equal(isBroken, false);
        const { messages: answers, end } = readAnswers(
          got,
          sent.messages.map(({ start: [method] }) => method),
        );
        assert.equal(end, 'whole');
        const asked = answers.map((one) =>
          Buffer.from(valuesOf(one, 'x-asked')[0] ?? '', 'base64url').toString('latin1'),
        );
        assert.deepEqual(asked, sent.messages.map(essence));
      }),
      60,
    );
  });

  it('brings no request to the server but those that are there by the letter, whatever is sent', async () => {
    const tricked = fc.tuple(request, fc.nat(), trick).map(([text, at, put]) => {
      const lines = [...text.matchAll(/\r\n/g)].map(({ index }) => index + 2);
      const place = lines[at % lines.length] ?? 0;
      return text.slice(0, place) + put + text.slice(place);
    });
    const hostile = fc.oneof(tricked, request.chain(textMutationsOf), tricked.chain(textMutationsOf));
    await holds(
      fc.asyncProperty(hostile, fc.option(request, { nil: '' }), async (text, next) => {
        const { messages } = readRequests(text + next + LAST);
        await exchange(text + next + LAST);
        assert.equal(isBroken, false, 'what arrived can be read in two ways');
        const there = messages.map(essence);
        for (const each of arrived.map(essence))
          assert.ok(there.includes(each), `arrived: ${each}\nby the letter: ${there}`);
      }),
      100,
    );
  });

  it('brings answers to the client as one each by the letter, whatever a server sends', async () => {
    const tricked = fc.tuple(answer, fc.nat(), trick).map(([text, at, put]) => {
      const lines = [...text.matchAll(/\r\n/g)].map(({ index }) => index + 2);
      const place = lines[at % lines.length] ?? 0;
      return text.slice(0, place) + put + text.slice(place);
    });
    await holds(
      fc.asyncProperty(fc.oneof(answer, tricked, answer.chain(textMutationsOf)), async (text) => {
        reply = () => text;
        closes = true;
        const got = await exchange(LAST);
        const { messages: answers, end } = readAnswers(got, ['GET']);
        const finals = answers.filter(({ start: [, status] }) => !status.startsWith('1'));
        assert.ok(finals.length <= 1 && end !== 'bad', got);
        const [final] = finals;
        if (final === undefined || final.start[1] === '502') return;
        assert.ok(isLast(final));
        const [said] = readAnswers(text, ['GET']).messages.filter(({ start: [, status] }) => !status.startsWith('1'));
        assert.deepEqual(
          [final.start[1], final.body],
          [said?.start[1], said?.body],
          'another answer than the server gave',
        );
      }),
      100,
    );
  });
});
