import type { AttestationFields, Nsm } from '@enclaver/attestation/nsm';
import * as z from 'zod';
import { isReserved } from '../nsm/user-data.ts';
import { type Answer, bytesOrJson, type Call, readJson, readQuery } from './exchange.ts';
import { base64Field, invalid, pemField } from './fields.ts';

/** As in the original: everything may be left out, what is not known is not looked at. */
const bodySchema = z.object({
  nonce: z.string().nullish(),
  user_data: z.string().nullish(),
  public_key: z.string().nullish(),
});

type Fields = z.output<typeof bodySchema>;

/**
 * A document for a nonce alone: for clients that have no body to give. A program that fetches URLs for strangers would get them
 * a document for a key of theirs otherwise, which is the right to everything that KMS gives this image.
 */
export async function attestByQuery(nsm: Nsm, { request, url }: Call): Promise<Answer> {
  const { nonce } = readQuery(url, ['nonce']);
  // Base64 has no space: it is the plus sign of a query in which nobody has encoded it
  const document = await nsm.attest(parse({ nonce: nonce?.replaceAll(' ', '+') }));
  return bytesOrJson(request, 'application/cbor', 'document', document);
}

/** A document for the fields of the body. */
export async function attestByBody(nsm: Nsm, { request }: Call): Promise<Answer> {
  const document = await nsm.attest(parse(await readJson(request, bodySchema)));
  return bytesOrJson(request, 'application/cbor', 'document', document);
}

function parse({ nonce, user_data: userData, public_key: publicKey }: Fields): AttestationFields {
  return {
    ...(nonce == null ? {} : { nonce: base64Field('nonce', nonce) }),
    ...(userData == null ? {} : { userData: ownUserData(base64Field('user_data', userData)) }),
    ...(publicKey == null ? {} : { publicKey: pemField('public_key', publicKey) }),
  };
}

/** Throws API_FIELD. */
function ownUserData(bytes: Uint8Array): Uint8Array {
  if (!isReserved(bytes)) return bytes;
  throw invalid(
    'user_data begins with a mark of documents that odyn makes for itself',
    'begin with something else, such as the name of the application',
  );
}
