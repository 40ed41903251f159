/**
 * How a certificate of attested TLS carries its document: in the extension id-pe-cmw of the IETF's RATS Conceptual Messages
 * Wrapper (draft-ietf-rats-msg-wrap, section "Transporting CMW in PKIX Formats"), as an OCTET STRING that holds the CBOR record
 * `[type, document, indicator]`.
 */
export const CMW_EXTENSION = '1.3.6.1.5.5.7.1.35';

/** Content-Format of COSE_Sign1 in CoAP's registry (RFC 9052), which the document is. */
export const COSE_SIGN1 = 18;

/** The bit of "evidence" in the indicator. */
export const EVIDENCE = 4;

/**
 * `user_data` of these documents, in UTF-8. It keeps them apart from those that the app asks for: what is attested for another
 * purpose cannot be put into a certificate.
 */
export const ATTESTED_TLS_PURPOSE = 'enclaver-attested-tls/1';

/** The record with a document in it: CBOR. */
export function wrapDocument(document: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = document.length;
  if (length > 0xffff) throw new RangeError(`a document of ${length} bytes is too long`);
  const wrapped = new Uint8Array(length + 6);
  wrapped.set([0x83, COSE_SIGN1, 0x59, length >> 8, length & 0xff]);
  wrapped.set(document, 5);
  wrapped[length + 5] = EVIDENCE;
  return wrapped;
}
