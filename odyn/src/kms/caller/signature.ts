import { CallerError } from './caller-error.ts';
import type { ReceivedRequest } from './received-request.ts';

const ALGORITHM = 'AWS4-HMAC-SHA256';
/** Seven days: the most that AWS takes (Signature Version 4, query parameters). */
const EXPIRES_MAX_S = 604_800;

const parameters = {
  algorithm: 'X-Amz-Algorithm',
  credential: 'X-Amz-Credential',
  date: 'X-Amz-Date',
  expires: 'X-Amz-Expires',
  signedHeaders: 'X-Amz-SignedHeaders',
  signature: 'X-Amz-Signature',
  token: 'X-Amz-Security-Token',
} as const;

/** What a signature in the query consists of. */
export const SIGNATURE_PARAMETERS: ReadonlySet<string> = new Set(Object.values(parameters));

/** A signature version 4, read and not yet checked. */
export interface CallerSignature {
  readonly accessKeyId: string;
  /** `YYYYMMDD` */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly time: Date;
  /** Names in small letters, sorted. */
  readonly signedHeaders: readonly string[];
  /** 64 hexadecimal digits. */
  readonly signature: string;
  readonly sessionToken?: string | undefined;
  /** Seconds for which a signature in the query is valid; undefined for one in the header `Authorization`. */
  readonly expiresS?: number;
}

/** Reads the signature of a request: that of its header, or that of its query. @throws CallerError */
export function readSignature(request: ReceivedRequest): CallerSignature {
  const authorization = request.headers.get('authorization');
  const isPresigned = Object.hasOwn(request.query, parameters.algorithm);
  if (authorization !== undefined && isPresigned) {
    throw incomplete('the request is signed twice: in the header Authorization and in the query');
  }
  if (authorization !== undefined) return fromHeader(authorization, request.headers);
  if (isPresigned) return fromQuery(request.query);
  throw new CallerError('MissingAuthenticationTokenException', 'Request is missing Authentication Token');
}

function fromHeader(authorization: string, headers: ReceivedRequest['headers']): CallerSignature {
  const [, algorithm = '', rest = ''] = /^(\S*)\s*(.*)$/s.exec(authorization) ?? [];
  checkAlgorithm(algorithm);
  const fields = new Map<string, string>();
  for (const part of rest.split(',')) {
    const [, name = '', value = ''] = /^\s*([A-Za-z]+)=(\S*)\s*$/.exec(part) ?? [];
    if (name === '' || fields.has(name)) throw incomplete('the header Authorization is not NAME=VALUE, NAME=VALUE, …');
    fields.set(name, value);
  }
  return {
    ...scopeOf(fields.get('Credential')),
    ...datedBy(headers.get('x-amz-date'), 'the header X-Amz-Date'),
    signedHeaders: namesOf(fields.get('SignedHeaders')),
    signature: signatureOf(fields.get('Signature')),
    sessionToken: headers.get('x-amz-security-token'),
  };
}

function fromQuery(query: ReceivedRequest['query']): CallerSignature {
  const one = (name: string): string | undefined => {
    const values = Object.hasOwn(query, name) ? query[name] : undefined;
    if (values !== undefined && values.length > 1) throw incomplete(`${name} stands more than once in the query`);
    return values?.[0];
  };
  checkAlgorithm(one(parameters.algorithm) ?? '');
  const expires = one(parameters.expires) ?? '';
  const expiresS = Number(expires);
  if (!/^\d{1,6}$/.test(expires) || expiresS < 1 || expiresS > EXPIRES_MAX_S) {
    throw incomplete(`X-Amz-Expires is not a number of seconds from 1 to ${EXPIRES_MAX_S}`);
  }
  return {
    ...scopeOf(one(parameters.credential)),
    ...datedBy(one(parameters.date), 'X-Amz-Date'),
    signedHeaders: namesOf(one(parameters.signedHeaders)),
    signature: signatureOf(one(parameters.signature)),
    sessionToken: one(parameters.token),
    expiresS,
  };
}

function checkAlgorithm(algorithm: string): void {
  if (algorithm === ALGORITHM) return;
  throw incomplete(`the signature is not of algorithm ${ALGORITHM}, which is the only one that is taken`);
}

function scopeOf(credential = ''): Pick<CallerSignature, 'accessKeyId' | 'date' | 'region' | 'service'> {
  const match = /^([\w.+=@:-]{1,128})\/(\d{8})\/([a-z0-9-]{1,32})\/([a-z0-9-]{1,32})\/aws4_request$/.exec(credential);
  if (match === null) throw incomplete('Credential is not ID/YYYYMMDD/REGION/SERVICE/aws4_request');
  const [, accessKeyId = '', date = '', region = '', service = ''] = match;
  return { accessKeyId, date, region, service };
}

function datedBy(text: string | undefined, where: string): Pick<CallerSignature, 'time'> {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '');
  const [, year, month, day, hour, minute, second] = match ?? [];
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (match === null || Number.isNaN(time.getTime())) throw incomplete(`${where} is not YYYYMMDDTHHMMSSZ`);
  return { time };
}

function namesOf(signedHeaders = ''): string[] {
  const names = signedHeaders.split(';');
  const isSorted = names.every((name, index) => index === 0 || (names[index - 1] ?? '') < name);
  if (!isSorted || !names.every((name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name))) {
    throw incomplete('SignedHeaders is not a sorted list of names in small letters with ";" between them');
  }
  return names;
}

function signatureOf(signature = ''): string {
  if (!/^[0-9a-f]{64}$/.test(signature)) throw incomplete('Signature is not 64 hexadecimal digits');
  return signature;
}

function incomplete(message: string): CallerError {
  return new CallerError('IncompleteSignatureException', message);
}
