import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { encodeAnswer } from '../src/nsm/answer.ts';
import { encodeCbor } from '../src/nsm/cbor-encode.ts';
import { Nsm, NsmError, type NsmErrorCode, type NsmTransport } from '../src/nsm/index.ts';
import { bytesOf, cbor, type NsmCase, nsmVectors } from './nsm-support.ts';
import { realDocument } from './simulator-support.ts';

const { cases, malformed_answers: malformed } = await nsmVectors();
const answerOf = (name: string): Uint8Array =>
  bytesOf(cases.find((each) => each.kind === 'response' && each.name === name));

/** A client whose device gives these answers, and what it was asked. */
function clientOf(...answers: Uint8Array[]): { nsm: Nsm; asked: Buffer[] } {
  const asked: Buffer[] = [];
  const nsm = new Nsm(async (request) => {
    asked.push(Buffer.from(request));
    return answers.shift() ?? new Uint8Array();
  });
  return { nsm, asked };
}

const failsWith =
  (code: NsmErrorCode, text = /./) =>
  (error: unknown): true => {
    assert.ok(error instanceof NsmError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, text);
    assert.ok(error.remedy.length > 0);
    return true;
  };

/** Every request that a client can make, by the name of its vector. */
const calls: Record<string, (nsm: Nsm) => Promise<unknown>> = {
  DescribeNSM: (nsm) => nsm.describe(),
  GetRandom: (nsm) => nsm.random(),
  'DescribePCR-0': (nsm) => nsm.describePcr(0),
  'DescribePCR-31': (nsm) => nsm.describePcr(31),
  'ExtendPCR-16': (nsm) => nsm.extendPcr(16, Buffer.from('hello')),
  'LockPCR-16': (nsm) => nsm.lockPcr(16),
  'LockPCRs-20': (nsm) => nsm.lockPcrs(20),
  'Attestation-null': (nsm) => nsm.attest(),
  'Attestation-all': (nsm) =>
    nsm.attest({ publicKey: Buffer.from('pk'), userData: Buffer.from('ud'), nonce: Buffer.from('nn') }),
};

describe('NSM client', () => {
  describe('time', () => {
    const answered = (document: Uint8Array) => clientOf(encodeAnswer('Attestation', { document })).nsm.time();

    it('is what a document says, to the millisecond', async () => {
      const expected = JSON.parse(await readFile(new URL('./vectors/real/expected.json', import.meta.url), 'utf8'));
      for (const name of ['dstack-2025-12-prod', 'evervault-2022-10-debug', 'blocky-2024-09-prod'])
        assert.equal((await answered(await realDocument(name))).toISOString(), expected[name].timestamp_utc);
    });

    it('is none in what is no document', async () => {
      const document = (payload: Uint8Array) => encodeCbor([Buffer.of(), new Map(), payload, Buffer.of()]);
      const none = [{}, { timestamp: 0 }, { timestamp: '1' }, { timestamp: 8_640_000_000_000_001 }].map((fields) =>
        document(encodeCbor(new Map(Object.entries(fields)))),
      );
      for (const bytes of [...none, document(Buffer.of(0xff)), encodeCbor('text'), Buffer.of(0x84)])
        await assert.rejects(answered(bytes), failsWith('NSM_INVALID_RESPONSE'));
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
          await assert.rejects(answered(bytes), failsWith('NSM_INVALID_RESPONSE'));
        }),
      );
    });
  });

  describe('vectors', () => {
    const requests = cases.filter(({ kind }) => kind === 'request');

    it('has a call for every request', () => {
      assert.deepEqual(
        requests.map(({ name }) => name),
        Object.keys(calls),
      );
    });

    for (const vector of requests) {
      it(`sends ${vector.name} byte for byte`, async () => {
        const { nsm, asked } = clientOf(answerOf(vector.name.split('-')[0] ?? ''));
        await calls[vector.name]?.(nsm);
        assert.deepEqual(
          asked.map((request) => request.toString('hex')),
          [vector.cbor_hex],
        );
      });
    }

    it('reads DescribeNSM', async () => {
      const value = answerValue('DescribeNSM');
      const [major, minor, patch] = value.version as number[];
      assert.deepEqual(await clientOf(answerOf('DescribeNSM')).nsm.describe(), {
        version: { major, minor, patch },
        moduleId: value.module_id,
        maxPcrs: value.max_pcrs,
        lockedPcrs: value.locked_pcrs,
        digest: 'SHA384',
      });
    });

    it('reads DescribePCR', async () => {
      const { locked, value } = await clientOf(answerOf('DescribePCR')).nsm.describePcr(0);
      assert.equal(locked, answerValue('DescribePCR').lock);
      assert.equal(Buffer.from(value).toString('hex'), answerValue('DescribePCR').data_hex);
    });

    it('reads ExtendPCR, GetRandom and Attestation', async () => {
      const { nsm } = clientOf(answerOf('ExtendPCR'), answerOf('GetRandom'), answerOf('Attestation'));
      const hex = [await nsm.extendPcr(16, Buffer.of()), await nsm.random(), await nsm.attest()].map((bytes) =>
        Buffer.from(bytes).toString('hex'),
      );
      assert.deepEqual(hex, [
        answerValue('ExtendPCR').data_hex,
        answerValue('GetRandom').random_hex,
        answerValue('Attestation').document_hex,
      ]);
    });

    it('reads LockPCR and LockPCRs', async () => {
      await clientOf(answerOf('LockPCR')).nsm.lockPcr(16);
      await clientOf(answerOf('LockPCRs')).nsm.lockPcrs(32);
    });

    for (const { name, value, cbor_hex } of cases.filter((each) => each.name.startsWith('Error-'))) {
      it(`gives the error ${value?.error} a code`, async () => {
        const code = value?.error === 'Success' ? 'NSM_UNKNOWN_ERROR' : codeOf(String(value?.error));
        const { nsm } = clientOf(Buffer.from(cbor_hex, 'hex'));
        await assert.rejects(nsm.random(), failsWith(code, new RegExp(name.replace('Error-', ''))));
      });
    }

    for (const { name, cbor_hex } of malformed) {
      it(`refuses the answer ${name}`, async () => {
        const code = name === 'unknown-error' ? 'NSM_UNKNOWN_ERROR' : 'NSM_INVALID_RESPONSE';
        for (const call of Object.values(calls)) {
          await assert.rejects(call(clientOf(cbor(cbor_hex)).nsm), failsWith(code));
        }
      });
    }
  });

  it('reads maps by key, in any order, and over keys that it does not know', async () => {
    const zero = `5830${'00'.repeat(48)}`;
    const dataFirst = cbor(`a1${text('DescribePCR')}a2${text('data')}${zero}${text('lock')}f5`);
    assert.equal((await clientOf(dataFirst).nsm.describePcr(0)).locked, true);
    const more = cbor(`a1${text('DescribePCR')}bf${text('data')}${zero}${text('new')}01${text('lock')}f4ff`);
    assert.equal((await clientOf(more).nsm.describePcr(0)).locked, false);
  });

  it('refuses the answer to another request', async () => {
    for (const name of ['LockPCR', 'GetRandom', 'ExtendPCR']) {
      await assert.rejects(clientOf(answerOf(name)).nsm.lockPcrs(16), failsWith('NSM_INVALID_RESPONSE'));
    }
  });

  it('refuses an answer of two keys, though the first is right', async () => {
    const answer = cbor(`a2${text('GetRandom')}a1${text('random')}41aa${text('LockPCR')}f6`);
    await assert.rejects(clientOf(answer).nsm.random(), failsWith('NSM_INVALID_RESPONSE'));
  });

  it('refuses an answer with bytes behind it, and one that is longer than any', async () => {
    const { nsm } = clientOf(Buffer.concat([answerOf('LockPCR'), Buffer.of(0)]), Buffer.alloc(0x3001));
    await assert.rejects(nsm.lockPcr(16), failsWith('NSM_INVALID_RESPONSE'));
    await assert.rejects(nsm.lockPcr(16), failsWith('NSM_INVALID_RESPONSE', /12289 bytes.*12288/));
  });

  it('refuses a register of another size than SHA-384 has', async () => {
    for (const size of [0, 32, 47, 49]) {
      const answer = cbor(
        `a1${text('ExtendPCR')}a1${text('data')}58${size.toString(16).padStart(2, '0')}${'00'.repeat(size)}`,
      );
      await assert.rejects(clientOf(answer).nsm.extendPcr(16, Buffer.of()), failsWith('NSM_INVALID_RESPONSE'));
    }
  });

  describe('before it asks', () => {
    const refused = async (code: NsmErrorCode, call: (nsm: Nsm) => Promise<unknown>, message?: RegExp) => {
      const { nsm, asked } = clientOf();
      await assert.rejects(call(nsm), failsWith(code, message));
      assert.equal(asked.length, 0);
    };

    it('refuses a request of more than 4096 bytes, and sends one of 4096', async () => {
      const head = 'a169457874656e64504352a265696e646578106464617461590000'.length / 2;
      const { nsm, asked } = clientOf(answerOf('ExtendPCR'));
      await nsm.extendPcr(16, Buffer.alloc(4096 - head));
      assert.equal(asked[0]?.length, 4096);
      await refused('NSM_INPUT_TOO_LARGE', (client) => client.extendPcr(16, Buffer.alloc(4097 - head)), /4097.*4096/);
    });

    it('refuses fields of more than 1024 bytes, and an empty public key', async () => {
      const long = Buffer.alloc(1025);
      for (const fields of [{ publicKey: long }, { userData: long }, { nonce: long }]) {
        await refused('NSM_INPUT_TOO_LARGE', (nsm) => nsm.attest(fields), /1025.*1024/);
      }
      await refused('NSM_INVALID_ARGUMENT', (nsm) => nsm.attest({ publicKey: Buffer.of() }));
    });

    it('refuses what is no index', async () => {
      for (const index of [-1, 1.5, 0x10000, Number.NaN]) {
        await refused('NSM_INVALID_INDEX', (nsm) => nsm.describePcr(index));
        await refused('NSM_INVALID_INDEX', (nsm) => nsm.lockPcrs(index));
      }
    });
  });

  describe('transport', () => {
    it('carries one request at a time, in the order of the calls', async () => {
      const order: string[] = [];
      let under = 0;
      const transport: NsmTransport = async (request) => {
        under += 1;
        assert.equal(under, 1);
        // Both requests are a bare text behind a head of one byte.
        order.push(Buffer.from(request).toString('latin1', 1));
        await new Promise((resolve) => setImmediate(resolve));
        under -= 1;
        return answerOf(order.at(-1) === 'GetRandom' ? 'GetRandom' : 'DescribeNSM');
      };
      const nsm = new Nsm(transport);
      await Promise.all([nsm.random(), nsm.describe(), nsm.random(), nsm.describe()]);
      assert.deepEqual(order, ['GetRandom', 'DescribeNSM', 'GetRandom', 'DescribeNSM']);
    });

    it('goes on after one that failed', async () => {
      let first = true;
      const nsm = new Nsm(async () => {
        if (!first) return answerOf('GetRandom');
        first = false;
        throw new Error('no such device');
      });
      const [failed, given] = await Promise.allSettled([nsm.random(), nsm.random()]);
      assert.ok(failed?.status === 'rejected' && failsWith('NSM_UNREACHABLE', /no such device/)(failed.reason));
      assert.equal(given?.status, 'fulfilled');
    });

    it('gives up on a device that does not answer, and sends nothing behind its back', async () => {
      let asked = 0;
      const { promise, resolve } = Promise.withResolvers<Uint8Array>();
      const nsm = new Nsm(
        () => {
          asked += 1;
          return asked === 1 ? promise : Promise.resolve(answerOf('GetRandom'));
        },
        { timeoutMs: 20 },
      );
      const both = await Promise.allSettled([nsm.random(), nsm.random()]);
      for (const each of both) assert.ok(each.status === 'rejected' && failsWith('NSM_TIMEOUT')(each.reason));
      assert.equal(asked, 1);
      resolve(answerOf('GetRandom'));
      assert.equal((await nsm.random()).length, 256);
      assert.equal(asked, 2);
    });

    it('lets 1024 calls wait and no more', async () => {
      const { promise, resolve } = Promise.withResolvers<Uint8Array>();
      const nsm = new Nsm(() => promise);
      const waiting = Array.from({ length: 1024 }, () => nsm.random());
      await assert.rejects(nsm.random(), failsWith('NSM_BUSY', /1024/));
      resolve(answerOf('GetRandom'));
      await Promise.all(waiting);
      assert.equal((await nsm.random()).length, 256);
    });
  });

  it('takes any bytes for an answer or an NsmError', async () => {
    const answers = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .tuple(fc.constantFrom(...cases), fc.nat(), fc.integer({ min: 1, max: 255 }))
        .map(([vector, at, flip]) => mutated(vector, at, flip)),
    );
    await fc.assert(
      fc.asyncProperty(answers, fc.constantFrom(...Object.values(calls)), async (answer, call) => {
        try {
          await call(clientOf(answer).nsm);
        } catch (error) {
          assert.ok(error instanceof NsmError, String(error));
        }
      }),
      { numRuns: 10_000 },
    );
  });
});

function answerValue(name: string): Record<string, unknown> {
  return cases.find((each) => each.kind === 'response' && each.name === name)?.value ?? {};
}

/** `ReadOnlyIndex` is `NSM_READ_ONLY_INDEX`. */
function codeOf(deviceCode: string): NsmErrorCode {
  return `NSM${deviceCode.replace(/[A-Z]/g, '_$&').toUpperCase()}` as NsmErrorCode;
}

/** A short text in CBOR, hexadecimal. */
function text(value: string): string {
  return (0x60 + value.length).toString(16) + Buffer.from(value).toString('hex');
}

function mutated(vector: NsmCase, at: number, flip: number): Uint8Array {
  const bytes = bytesOf(vector);
  const place = at % bytes.length;
  bytes[place] = (bytes[place] ?? 0) ^ flip;
  return bytes;
}
