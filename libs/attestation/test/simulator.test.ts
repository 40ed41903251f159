import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeCbor } from '../src/cbor.ts';
import { AttestationError, parseDocument, verifyDocument } from '../src/index.ts';
import { SimulatorError, type SimulatorOptions, type SimulatorState } from '../src/simulator/index.ts';
import { bytesOf, cbor, nsmVectors } from './nsm-support.ts';
import { clockAt, failsWith, hex, MEASUREMENTS, pcrVectors, ROOT, simulatorOf } from './simulator-support.ts';

const ZERO = '00'.repeat(48);
const { cases } = await nsmVectors();
const requests = cases.filter(({ kind }) => kind === 'request');
const pcrs = await pcrVectors();
const users = Array.from({ length: 16 }, (_, index) => 16 + index);

describe('NSM simulator', () => {
  describe('registers', () => {
    it('starts as the device does: 0 to 15 locked, the measurements in their places', async () => {
      const { nsm, simulator } = simulatorOf();
      const { version, moduleId, maxPcrs, lockedPcrs, digest } = await nsm.describe();
      assert.deepEqual(
        { version, maxPcrs, digest },
        { version: { major: 1, minor: 0, patch: 0 }, maxPcrs: 32, digest: 'SHA384' },
      );
      assert.equal(moduleId, simulator.moduleId);
      assert.match(moduleId, /^i-0{17}-enc[0-9a-f]{16}$/);
      assert.deepEqual(
        lockedPcrs,
        Array.from({ length: 16 }, (_, index) => index),
      );
      const { PCR0, PCR1, PCR2, PCR8 } = MEASUREMENTS;
      const expected: Record<number, string> = { 0: PCR0, 1: PCR1, 2: PCR2, 8: PCR8 };
      for (let index = 0; index < 32; index += 1) {
        const { locked, value } = await nsm.describePcr(index);
        assert.equal(hex(value), expected[index] ?? ZERO, `PCR${index}`);
        assert.equal(locked, index < 16, `PCR${index}`);
      }
    });

    it('has zeros in PCR0, 1, 2 and 8 in debug mode, and PCR3 and 4 as they are', async () => {
      const [role] = pcrs.pcr3_computed;
      const [instance] = pcrs.pcr4_seen_in_real_documents;
      assert.ok(role && instance);
      const identity = { roleArn: role.role_arn, instanceId: instance.instance_id };
      for (const debug of [false, true]) {
        const { nsm } = simulatorOf({ ...identity, debug });
        const document = parseDocument(await nsm.attest());
        for (const [index, value] of [MEASUREMENTS.PCR0, MEASUREMENTS.PCR1, MEASUREMENTS.PCR2].entries()) {
          assert.equal(hex(document.pcrs.get(index)), debug ? ZERO : value);
        }
        assert.equal(hex(document.pcrs.get(8)), debug ? ZERO : MEASUREMENTS.PCR8);
        assert.equal(hex(document.pcrs.get(3)), role.pcr3);
        assert.equal(hex(document.pcrs.get(4)), instance.pcr4);
        assert.ok(document.moduleId.startsWith(`${instance.instance_id}-enc`));
      }
    });

    it('extends by the vectors', async () => {
      const { nsm } = simulatorOf();
      for (const { data_hex, pcr_after } of pcrs.extend_sequence) {
        assert.equal(hex(await nsm.extendPcr(16, cbor(data_hex))), pcr_after);
        assert.equal(hex((await nsm.describePcr(16)).value), pcr_after);
      }
      assert.equal(hex((await nsm.describePcr(17)).value), ZERO);
    });

    it('answers as the check of the device by its makers expects (nsm-check of aws-nitro-enclaves-nsm-api)', async () => {
      const { nsm } = simulatorOf({ instanceId: 'i-0123456789abcdef0' });
      for (let index = 0; index < 16; index += 1) {
        await assert.rejects(nsm.lockPcr(index), failsWith('NSM_READ_ONLY_INDEX'));
      }
      for (const index of [...users, ...users])
        assert.notEqual(hex(await nsm.extendPcr(index, Buffer.of(1, 2, 3))), ZERO);
      for (const index of users) await nsm.lockPcr(index);
      await nsm.lockPcrs(32);
      await assert.rejects(nsm.lockPcrs(33), failsWith('NSM_INVALID_INDEX'));
      for (let index = 0; index < 32; index += 1) {
        await assert.rejects(nsm.extendPcr(index, Buffer.of(1)), failsWith('NSM_READ_ONLY_INDEX'));
        const { locked, value } = await nsm.describePcr(index);
        assert.equal(locked, true);
        assert.equal(hex(value) === ZERO, index === 3 || (index > 4 && index < 16 && index !== 8), `PCR${index}`);
      }
      const data = Buffer.alloc(1024, 128);
      for (const fields of [
        {},
        { userData: data },
        { userData: data, nonce: data },
        { userData: data, nonce: data, publicKey: data },
      ]) {
        assert.ok((await nsm.attest(fields)).length > 0);
      }
      const [one, other] = [await nsm.random(), await nsm.random()];
      assert.equal(one.length, 256);
      assert.notEqual(hex(one), hex(other));
    });

    it('knows no register from 32 on', async () => {
      const { nsm } = simulatorOf();
      for (const index of [32, 255, 256, 0xffff]) {
        await assert.rejects(nsm.describePcr(index), failsWith('NSM_INVALID_INDEX'));
        await assert.rejects(nsm.extendPcr(index, Buffer.of()), failsWith('NSM_INVALID_INDEX'));
        await assert.rejects(nsm.lockPcr(index), failsWith('NSM_INVALID_INDEX'));
      }
    });

    it('locks ranges: nothing, a part, all', async () => {
      const { nsm } = simulatorOf();
      const locked = async () => (await nsm.describe()).lockedPcrs.length;
      await nsm.lockPcrs(0);
      assert.equal(await locked(), 16);
      await nsm.lockPcrs(20);
      assert.equal(await locked(), 20);
      await nsm.lockPcr(31);
      assert.deepEqual((await nsm.describe()).lockedPcrs.slice(16), [16, 17, 18, 19, 31]);
      await nsm.lockPcrs(32);
      assert.equal(await locked(), 32);
    });

    it('puts a register into documents once it is locked', async () => {
      const { nsm } = simulatorOf();
      const value = await nsm.extendPcr(20, Buffer.from('app'));
      const indexes = async () => [...parseDocument(await nsm.attest()).pcrs.keys()];
      const platform = Array.from({ length: 16 }, (_, index) => index);
      assert.deepEqual(await indexes(), platform);
      await nsm.lockPcr(20);
      assert.deepEqual(await indexes(), [...platform, 20]);
      assert.equal(hex(parseDocument(await nsm.attest()).pcrs.get(20)), hex(value));
    });
  });

  describe('state', () => {
    it('is saved before the answer that makes it known, and taken up by the next process', async () => {
      const saved: SimulatorState[] = [];
      const { nsm, simulator } = simulatorOf({ save: (state) => saved.push(structuredClone(state)) });
      assert.equal(saved.length, 1);
      const value = await nsm.extendPcr(16, Buffer.from('app'));
      assert.equal(saved.at(-1)?.registers[16]?.value, hex(value));
      await nsm.lockPcrs(17);
      await nsm.random();
      await nsm.attest();
      assert.equal(saved.length, 3);
      const next = simulatorOf({ saved: JSON.parse(JSON.stringify(saved.at(-1))), debug: true });
      assert.equal(next.simulator.moduleId, simulator.moduleId);
      assert.deepEqual(parseDocument(await next.nsm.attest()).pcrs, parseDocument(await nsm.attest()).pcrs);
      await assert.rejects(next.nsm.extendPcr(16, Buffer.of()), failsWith('NSM_READ_ONLY_INDEX'));
    });

    it('that cannot be saved is not answered', async () => {
      let full = false;
      const { nsm } = simulatorOf({
        save: () => {
          if (full) throw new Error('no space');
        },
      });
      full = true;
      await assert.rejects(nsm.extendPcr(16, Buffer.from('app')), failsWith('NSM_UNREACHABLE'));
    });

    it('is refused when it is none', () => {
      const [good] = states();
      for (const saved of [{}, null, { ...good, moduleId: '../x' }, { ...good, registers: good?.registers.slice(1) }])
        assert.throws(() => simulatorOf({ saved }), { code: 'SIMULATOR_STATE' });
    });

    function states(): SimulatorState[] {
      const saved: SimulatorState[] = [];
      simulatorOf({ save: (state) => saved.push(state) });
      return saved;
    }
  });

  describe('requests', () => {
    it('answers every vector with what the vector is about', async () => {
      for (const vector of requests) {
        const answer = decodeCbor(await simulatorOf().simulator.request(bytesOf(vector)));
        const kind = vector.name.split('-')[0];
        assert.equal(answer instanceof Map ? [...answer.keys()].join() : answer, kind);
      }
    });

    it('writes its answers as the vectors have them', async () => {
      const { simulator } = simulatorOf({ debug: true });
      const answerTo = async (name: string) =>
        hex(await simulator.request(bytesOf(requests.find((each) => each.name === name))));
      for (const [request, answer] of [
        ['DescribePCR-0', 'DescribePCR'],
        ['LockPCR-16', 'LockPCR'],
        ['LockPCRs-20', 'LockPCRs'],
      ] as const) {
        assert.equal(
          await answerTo(request),
          cases.find(({ kind, name }) => kind === 'response' && name === answer)?.cbor_hex,
        );
      }
    });

    it('refuses as the device does', async () => {
      const { simulator } = simulatorOf();
      const errorOf = async (request: Uint8Array) =>
        (decodeCbor(await simulator.request(request)) as Map<string, string>).get('Error');
      const attest = (field: string) => cbor(`a16b4174746573746174696f6ea1${field}`);
      const publicKey = '6a7075626c69635f6b6579';
      assert.equal(await errorOf(Buffer.alloc(0x1001)), 'InputTooLarge');
      assert.equal(await errorOf(Buffer.alloc(0)), 'InvalidOperation');
      assert.equal(await errorOf(cbor('644e6f7065')), 'InvalidOperation');
      assert.equal(await errorOf(attest(`${publicKey}40`)), 'InvalidArgument');
      assert.equal(await errorOf(attest(`${publicKey}590401${'00'.repeat(1025)}`)), 'InputTooLarge');
      assert.equal(await errorOf(attest(`656e6f6e6365590401${'00'.repeat(1025)}`)), 'InputTooLarge');
      assert.equal(await errorOf(attest('656e6f6e636501')), 'InvalidOperation');
    });

    it('gives any bytes an answer that can be decoded', async () => {
      const { simulator } = simulatorOf();
      const bytes = fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.tuple(fc.constantFrom(...requests), fc.nat(), fc.integer({ min: 1, max: 255 })).map(([vector, at, flip]) => {
          const request = bytesOf(vector);
          const place = at % request.length;
          request[place] = (request[place] ?? 0) ^ flip;
          return new Uint8Array(request);
        }),
      );
      await fc.assert(
        fc.asyncProperty(bytes, async (request) => {
          const answer = decodeCbor(await simulator.request(request));
          assert.ok(typeof answer === 'string' || (answer instanceof Map && answer.size === 1));
        }),
        { numRuns: 10_000 },
      );
    });
  });

  it('takes a request of 4096 bytes', async () => {
    const { nsm } = simulatorOf();
    const { length } = bytesOf(requests.find(({ name }) => name === 'ExtendPCR-16'));
    // Data of that length has two bytes more in its head than that of the vector.
    const data = Buffer.alloc(4096 - length + 'hello'.length - 2);
    assert.notEqual(hex(await nsm.extendPcr(16, data)), ZERO);
    await assert.rejects(nsm.extendPcr(16, Buffer.alloc(data.length + 1)), failsWith('NSM_INPUT_TOO_LARGE'));
  });

  describe('documents', () => {
    it('verify under the development root, and under no other', async () => {
      const { nsm, simulator } = simulatorOf();
      const fields = { publicKey: Buffer.from('key'), userData: Buffer.from('data'), nonce: Buffer.from('once') };
      const document = await nsm.attest(fields);
      const at = new Date();
      const expect = { ...fields, pcrs: new Map([[0, cbor(MEASUREMENTS.PCR0)]]), maxAgeMs: 60_000 };
      const verified = await verifyDocument(document, { at, roots: [ROOT.certificate], expect });
      assert.equal(verified.moduleId, simulator.moduleId);
      await assert.rejects(
        verifyDocument(document, { at }),
        (error) => error instanceof AttestationError && error.code === 'ATTESTATION_ROOT',
      );
    });

    it('of debug mode are refused as those of the device are', async () => {
      const { nsm } = simulatorOf({ debug: true });
      await assert.rejects(
        verifyDocument(await nsm.attest(), { at: new Date(), roots: [ROOT.certificate] }),
        (error) => error instanceof AttestationError && error.code === 'ATTESTATION_DEBUG',
      );
    });

    it('keep what was asked for: nothing, no bytes, 1024 bytes', async () => {
      const { nsm } = simulatorOf();
      const none = parseDocument(await nsm.attest());
      assert.deepEqual([none.publicKey, none.userData, none.nonce], [undefined, undefined, undefined]);
      const empty = parseDocument(await nsm.attest({ userData: Buffer.of(), nonce: Buffer.of() }));
      assert.deepEqual([empty.userData?.length, empty.nonce?.length], [0, 0]);
      const full = { publicKey: Buffer.alloc(1024, 1), userData: Buffer.alloc(1024, 2), nonce: Buffer.alloc(1024, 3) };
      const { publicKey, userData, nonce } = parseDocument(await nsm.attest(full));
      assert.deepEqual([publicKey, userData, nonce].map(hex), [full.publicKey, full.userData, full.nonce].map(hex));
    });

    it('verify at every hour of two days, each at its own time', async () => {
      const { now, forward } = clockAt('2026-03-01T12:00:00.500Z');
      const { nsm, simulator } = simulatorOf({ now });
      for (let hour = 0; hour < 48; hour += 1) {
        const { timestamp, moduleId } = await verifyDocument(await nsm.attest(), {
          at: now(),
          roots: [ROOT.certificate],
        });
        assert.equal(timestamp, now().getTime());
        assert.equal(moduleId, simulator.moduleId);
        forward(3_600_000);
      }
    });
  });

  it('is not made from options that make no sense', () => {
    const wrong: Partial<SimulatorOptions>[] = [
      { measurements: { ...MEASUREMENTS, PCR0: 'A0'.repeat(48) } },
      { measurements: { ...MEASUREMENTS, PCR8: '00' } },
      { instanceId: 'i-1' },
      { roleArn: 'role' },
      { region: 'US' },
    ];
    for (const options of wrong) {
      assert.throws(
        () => simulatorOf(options),
        (error) => error instanceof SimulatorError && error.code === 'SIMULATOR_OPTION' && error.remedy.length > 0,
      );
    }
  });
});
