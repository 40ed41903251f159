import type { Nsm } from '@enclaver/attestation/nsm';
import * as z from 'zod';
import { ApiError } from './api-error.ts';
import { type Answer, type Call, json, readJson } from './exchange.ts';
import { base64Field, invalid } from './fields.ts';

/** Registers of an NSM; the first half of them belongs to the platform. */
const COUNT = 32;
const FIRST_OF_APP = 16;

/** What fits into a request to the NSM beside its own words. */
const EXTEND_BYTES = 4_000;

const extendSchema = z.strictObject({ data: z.string() });

export async function listRegisters(nsm: Nsm): Promise<Answer> {
  const pcrs = [];
  for (let index = 0; index < COUNT; index++) pcrs.push(await describe(nsm, index));
  return json({ pcrs });
}

export async function showRegister(nsm: Nsm, { param }: Call): Promise<Answer> {
  return json(await describe(nsm, parseIndex(param)));
}

export async function extendRegister(nsm: Nsm, { request, param }: Call): Promise<Answer> {
  const index = parseOwnIndex(param);
  const data = base64Field('data', (await readJson(request, extendSchema)).data, EXTEND_BYTES);
  if (data.length === 0) throw invalid('data is empty', 'give at least one byte');
  await nsm.extendPcr(index, data);
  return json(await describe(nsm, index));
}

/** From then on the register cannot change, and stands in every document. */
export async function lockRegister(nsm: Nsm, { param }: Call): Promise<Answer> {
  const index = parseOwnIndex(param);
  await nsm.lockPcr(index);
  return json(await describe(nsm, index));
}

async function describe(nsm: Nsm, index: number): Promise<{ index: number; locked: boolean; value: string }> {
  const { locked, value } = await nsm.describePcr(index);
  return { index, locked, value: Buffer.from(value).toString('hex') };
}

function parseIndex(text: string): number {
  const index = /^(?:0|[1-9]\d?)$/.test(text) ? Number(text) : COUNT;
  if (index < COUNT) return index;
  throw new ApiError(404, 'API_NOT_FOUND', `there is no register ${JSON.stringify(text)}`, {
    remedy: `registers are 0 to ${COUNT - 1}`,
  });
}

function parseOwnIndex(text: string): number {
  const index = parseIndex(text);
  if (index >= FIRST_OF_APP) return index;
  throw new ApiError(409, 'API_READ_ONLY', `register ${index} belongs to the platform and is locked`, {
    remedy: `take one from ${FIRST_OF_APP} to ${COUNT - 1}`,
  });
}
