import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { Nsm } from '@enclaver/attestation/nsm';
import { deviceTransport } from '../../src/nsm/device.ts';
import { addon } from '../../src/system/addon.ts';

/** The real driver answers in test/nitro-machine. */
describe("odyn's native part", () => {
  const fd = openSync('/dev/null', 'r+');

  after(() => closeSync(fd));

  it('gives the error of the system for what is no NSM', async () => {
    assert.equal(await addon().nsmRequest(fd, Buffer.of(0x60)), -constants.errno.ENOTTY);
    assert.equal(await addon().nsmRequest(2 ** 31 - 1, Buffer.alloc(4096)), -constants.errno.EBADF);
    assert.equal(deviceTransport('/dev/no-such-device'), undefined);
    const transport = deviceTransport('/dev/null');
    assert.ok(transport !== undefined);
    await assert.rejects(new Nsm(transport).describe(), { code: 'NSM_UNREACHABLE', message: /\/dev\/null failed/ });
  });

  it('does not hold up the loop, and keeps what it was given', async () => {
    const request = Buffer.alloc(4096, 1);
    const answers = Array.from({ length: 64 }, () => addon().nsmRequest(fd, request));
    request.fill(2);
    assert.ok(answers.every((answer) => answer instanceof Promise));
    assert.deepEqual(new Set(await Promise.all(answers)), new Set([-constants.errno.ENOTTY]));
  });

  for (const [what, call] of Object.entries({
    'a request of 4097 bytes': () => addon().nsmRequest(fd, Buffer.alloc(4097)),
    'a negative descriptor': () => addon().nsmRequest(-1, Buffer.of(0x60)),
    'a request that is text': () => addon().nsmRequest(fd, 'GetRandom' as unknown as Buffer),
    'half a descriptor': () => addon().nsmRequest(0.5, Buffer.of(0x60)),
    'no request': () => (addon().nsmRequest as (fd: number) => unknown)(fd),
    'no number for the clock': () => addon().clockSet(Number.NaN),
    'half a microsecond': () => addon().clockSlew(0.5),
    'more microseconds than a number counts': () => addon().clockSlew(2 ** 53),
  })) {
    it(`refuses ${what}`, () => {
      assert.throws(call, TypeError);
    });
  }

  it('sets no clock to before 1970, and leads none further than the kernel can', () => {
    assert.equal(addon().clockSet(-1), -constants.errno.EINVAL);
    assert.equal(addon().clockSlew(2 ** 52), -constants.errno.EINVAL);
  });

  it('watches the end of nobody but a child', () => {
    const never = () => assert.fail('it has not ended');
    assert.equal(addon().childWatch(2 ** 22 + 1, never), -constants.errno.ECHILD);
    assert.equal(addon().childWatch(0, never), -constants.errno.EINVAL);
    assert.equal(addon().childWatch(1, never), -constants.errno.ECHILD);
  });
});
