import { ATTESTED_TLS_PURPOSE } from '@enclaver/attestation/attested';
import type { AttestationFields, Nsm } from '@enclaver/attestation/nsm';
import * as z from 'zod';
import { type Answer, bytesOrJson, type Call, readJson, readQuery } from './exchange.ts';
import { base64Field, invalid, pemField } from './fields.ts';

/** As in the original: everything may be left out, what is not known is not looked at. */
const bodySchema = z.object({
  nonce: z.string().nullish(),
  user_data: z.string().nullish(),
  public_key: z.string().nullish(),
});

type Fields = z.output<typeof bodySchema>;

/** A document for the fields of the query: for clients that have no body to give. */
export async function attestByQuery(nsm: Nsm, { request, url }: Call): Promise<Answer> {
  const document = await nsm.attest(parse(readQuery(url, ['nonce', 'user_data', 'public_key'])));
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

/** Whoever lets clients choose what is attested must not make certificates of attested TLS for them. Throws API_FIELD. */
function ownUserData(bytes: Uint8Array): Uint8Array {
  if (Buffer.from(ATTESTED_TLS_PURPOSE).compare(bytes) !== 0) return bytes;
  throw invalid(
    'user_data has the value that marks the keys of attested TLS',
    'give another value, such as a longer one',
  );
}
