import type { Nsm } from '@enclaver/attestation/nsm';
import { limits } from '../limits.ts';
import { type Answer, bytesOrJson, type Call, readQuery } from './exchange.ts';
import { invalid } from './fields.ts';

const DEFAULT_BYTES = 32;

/** Random bytes straight from the NSM. */
export async function randomBytes(nsm: Nsm, { request, url }: Call): Promise<Answer> {
  const { bytes = `${DEFAULT_BYTES}` } = readQuery(url, ['bytes']);
  const wanted = /^\d{1,6}$/.test(bytes) ? Number(bytes) : 0;
  if (wanted < 1 || wanted > limits.apiRandomBytes) {
    throw invalid(
      `bytes is ${JSON.stringify(bytes)}; allowed are 1 to ${limits.apiRandomBytes}`,
      'ask more than once for more; the kernel has as many as you like (getrandom)',
    );
  }
  const parts: Uint8Array[] = [];
  for (let got = 0; got < wanted; ) {
    const part = await nsm.random();
    parts.push(part);
    got += part.length;
  }
  const random = Buffer.concat(parts).subarray(0, wanted);
  return bytesOrJson(request, 'application/octet-stream', 'random', random);
}
