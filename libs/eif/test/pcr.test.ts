import assert from 'node:assert/strict';
import { extendPcr, imagePcr, instancePcr, PCR_BYTES, rolePcr } from '../src/index.ts';
import { vectors } from './support.ts';

const pcr = await vectors<{
  pcr4_seen_in_real_documents: { instance_id: string; pcr4: string }[];
  pcr3_computed: { role_arn: string; pcr3: string }[];
  image_measure: { data_hex: string; pcr: string }[];
  extend_sequence: { data_hex: string; pcr_after: string }[];
}>('pcr');

describe('PCR arithmetic', () => {
  it('gives the PCR4 of real attestation documents', () => {
    for (const { instance_id, pcr4 } of pcr.pcr4_seen_in_real_documents) {
      assert.equal(instancePcr(instance_id).toString('hex'), pcr4);
    }
  });

  it('gives PCR3 for role ARNs', () => {
    for (const { role_arn, pcr3 } of pcr.pcr3_computed) assert.equal(rolePcr(role_arn).toString('hex'), pcr3);
  });

  it('measures image data by the double hash', () => {
    for (const { data_hex, pcr: expected } of pcr.image_measure) {
      assert.equal(imagePcr(Buffer.from(data_hex, 'hex')).toString('hex'), expected);
    }
  });

  it('extends in sequence from zero', () => {
    let register: Buffer = Buffer.alloc(PCR_BYTES);
    for (const { data_hex, pcr_after } of pcr.extend_sequence) {
      register = extendPcr(register, Buffer.from(data_hex, 'hex'));
      assert.equal(register.toString('hex'), pcr_after);
    }
  });

  it('refuses a register of another length', () => {
    assert.throws(() => extendPcr(Buffer.alloc(32), Buffer.alloc(0)), RangeError);
  });
});
