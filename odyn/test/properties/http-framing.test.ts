import assert from 'node:assert/strict';
import fc from 'fast-check';
import { holds } from '../../../test/properties/cases.ts';
import { textMutationsOf } from '../../../test/properties/mutations.ts';
import { echo, essence, FramingBench } from './framing-bench.ts';
import { answer, LAST, request, trick } from './http-messages.ts';
import { isLast, readAnswers, readRequests, valuesOf } from './strict-http.ts';

describe('framing of HTTP through the egress proxy', () => {
  let bench: FramingBench;

  before(async () => {
    bench = await FramingBench.open();
  });

  after(() => bench.close());

  beforeEach(() => {
    bench.reply = echo;
    bench.closes = false;
  });

  it('brings every request of a connection to the server as it is, and each answer to its request', async () => {
    await holds(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), async (requests) => {
        const text = requests.join('') + LAST;
        const sent = readRequests(text);
        assert.equal(sent.end, 'whole');
        // All of them are answered, and the connection is closed: however busy the machine is
        const got = await bench.exchange(text, 5_000);
        assert.deepEqual(bench.arrived.map(essence).sort(), sent.messages.map(essence).sort());
        assert.equal(bench.isBroken, false);
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
    let arrived = 0;
    await holds(
      fc.asyncProperty(hostile, fc.option(request, { nil: '' }), async (text, next) => {
        const { messages } = readRequests(text + next + LAST);
        await bench.exchange(text + next + LAST);
        assert.equal(bench.isBroken, false, 'what arrived can be read in two ways');
        arrived += bench.arrived.length;
        const there = messages.map(essence);
        for (const each of bench.arrived.map(essence))
          assert.ok(there.includes(each), `arrived: ${each}\nby the letter: ${there}`);
      }),
      100,
    );
    assert.ok(arrived > 0, 'nothing has arrived');
  });

  it('brings answers to the client as one each by the letter, whatever a server sends', async () => {
    const tricked = fc.tuple(answer, fc.nat(), trick).map(([text, at, put]) => {
      const lines = [...text.matchAll(/\r\n/g)].map(({ index }) => index + 2);
      const place = lines[at % lines.length] ?? 0;
      return text.slice(0, place) + put + text.slice(place);
    });
    let passed = 0;
    await holds(
      fc.asyncProperty(fc.oneof(answer, tricked, answer.chain(textMutationsOf)), async (text) => {
        bench.reply = () => text;
        bench.closes = true;
        const got = await bench.exchange(LAST);
        const { messages: answers, end } = readAnswers(got, ['GET']);
        const finals = answers.filter(({ start: [, status] }) => !status.startsWith('1'));
        assert.ok(finals.length <= 1 && end !== 'bad', got);
        const [final] = finals;
        if (final === undefined || final.start[1] === '502') return;
        passed += 1;
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
    assert.ok(passed > 0, 'no answer has passed');
  });
});
