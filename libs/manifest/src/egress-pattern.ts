import { domainToASCII } from 'node:url';
import { type Cidr, parseCidr } from './address.ts';
import { MAX_DOMAIN_LENGTH, MAX_LABEL_LENGTH, MAX_PATTERN_LENGTH } from './limits.ts';

/** Both ends count. */
export interface PortRange {
  from: number;
  to: number;
}

/** One entry of `egress.allow` or `egress.deny`. Without `ports` it is for every port. */
export type EgressPattern = { ports?: PortRange } & (
  | { kind: 'ip'; cidr: Cidr }
  /** Lower-case labels from left to right; `*` stands for one label, `**` for one or more, at any place. */
  | { kind: 'domain'; labels: readonly string[] }
  /** The parent instance itself. */
  | { kind: 'host' }
);

/** A pattern that was refused; the message says why. */
export class EgressPatternError extends Error {
  override readonly name = 'EgressPatternError';
  readonly code = 'EGRESS_PATTERN';
}

export const EGRESS_PATTERN_ALLOWED =
  'an IP address or range (10.0.0.0/8, 2001:db8::/32), a domain (example.com) in which "*" stands for one label and ' +
  '"**" for one or more, or "host"; each may end in :PORT or :FROM-TO, with IPv6 in brackets';

/**
 * Reads one egress pattern. What looks like an address or a range must be one: it is never taken for a domain that
 * could not match. Throws EgressPatternError.
 */
export function parseEgressPattern(text: string): EgressPattern {
  const { body, ports, bracketed } = split(text);
  const range = ports === undefined ? {} : { ports: parsePorts(ports) };
  if (!bracketed && body.toLowerCase() === 'host') return { kind: 'host', ...range };
  if (bracketed || looksLikeAddress(body)) {
    const cidr = readCidr(body);
    if (bracketed && cidr.family === 4) throw new EgressPatternError('brackets are for IPv6 addresses only');
    return { kind: 'ip', cidr, ...range };
  }
  return { kind: 'domain', labels: parseDomain(body), ...range };
}

function split(text: string): { body: string; ports?: string; bracketed: boolean } {
  if (text === '') throw new EgressPatternError('the pattern is empty');
  if (text.length > MAX_PATTERN_LENGTH) {
    throw new EgressPatternError(`it has ${text.length} characters; at most ${MAX_PATTERN_LENGTH} are allowed`);
  }
  if (/\s/.test(text)) throw new EgressPatternError('the pattern holds white space');
  if (text.includes('://')) throw new EgressPatternError('a pattern has no scheme');
  if (text.startsWith('[')) {
    const match = /^\[([^[\]]*)\](?::(.*))?$/.exec(text);
    if (match === null) throw new EgressPatternError('the brackets are not closed, or more than a port follows them');
    const [, body = '', ports] = match;
    return { body, bracketed: true, ...(ports === undefined ? {} : { ports }) };
  }
  const colons = text.split(':').length - 1;
  // A bare IPv6 address is all colons: it takes a port only in brackets.
  if (colons !== 1) return { body: text, bracketed: false };
  const colon = text.indexOf(':');
  return { body: text.slice(0, colon), ports: text.slice(colon + 1), bracketed: false };
}

function parsePorts(text: string): PortRange {
  const match = /^([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?$/.exec(text);
  const from = Number(match?.[1]);
  const to = match?.[2] === undefined ? from : Number(match[2]);
  if (match === null || from > to || to > 65535) {
    throw new EgressPatternError(`"${text}" is not a port or a range of ports within 1 to 65535`);
  }
  return { from, to };
}

/** Slash, colon, or a last label that resolvers read as a number (WHATWG URL, "ends in a number"). */
function looksLikeAddress(body: string): boolean {
  const labels = body.split('.');
  const last = labels.at(-1) === '' && labels.length > 1 ? labels.at(-2) : labels.at(-1);
  return /[/:%]/.test(body) || /^(\d+|0x[0-9a-f]*)$/i.test(last ?? '');
}

function readCidr(text: string): Cidr {
  try {
    return parseCidr(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new EgressPatternError(`it looks like an address or range but is none: ${error.message}`);
  }
}

function parseDomain(text: string): string[] {
  if (!/^[\x21-\x7e]*$/.test(text)) {
    const ascii = domainToASCII(text);
    const hint = ascii === '' ? 'its ASCII form (xn--…)' : `"${ascii}"`;
    throw new EgressPatternError(`a domain is written in ASCII: use ${hint}`);
  }
  // A closing dot only says that the name is complete, which all names here are.
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  if (name.length > MAX_DOMAIN_LENGTH) {
    throw new EgressPatternError(`the domain has ${name.length} characters; at most ${MAX_DOMAIN_LENGTH} are allowed`);
  }
  const labels = name.toLowerCase().split('.');
  for (const label of labels) checkLabel(label);
  return labels;
}

function checkLabel(label: string): void {
  if (label === '*' || label === '**') return;
  if (label === '') throw new EgressPatternError('the domain has an empty label');
  if (label.includes('*')) {
    throw new EgressPatternError(`"${label}" mixes a wildcard with letters; a wildcard stands for a whole label`);
  }
  if (label.length > MAX_LABEL_LENGTH || !/^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/.test(label)) {
    throw new EgressPatternError(
      `"${label}" is not a domain label: 1 to ${MAX_LABEL_LENGTH} letters, digits, "-" and "_", no "-" at either end`,
    );
  }
}
