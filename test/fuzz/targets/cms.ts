import assert from 'node:assert/strict';
import { CmsError, openEnvelope, parseEnvelope } from '@enclaver/cms';
import { caseNamed, privateKey, synthetic } from '../../../libs/cms/test/support.ts';
import { readOrRefuse, readOrRefuseLater } from '../target.ts';

export const seeds = synthetic.cases.map(({ name }) => caseNamed(name).ber);

/** Envelopes of KMS: what opens could be parsed, and nothing but our own error comes of another. */
export async function fuzz(input: Buffer): Promise<void> {
  const envelope = readOrRefuse(() => parseEnvelope(input), CmsError);
  // An operation of RSA for each case would leave few of them: only where the form is right
  if (envelope === undefined) return;
  const opened = await readOrRefuseLater(() => openEnvelope(input, privateKey), CmsError);
  if (opened !== undefined) assert.ok(opened.length <= input.length);
}
