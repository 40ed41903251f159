import { createHash } from 'node:crypto';
import type { FieldDiff } from './diff.ts';
import { MAX_SHOWN_VALUE } from './limits.ts';
import type { Eif } from './read-eif.ts';
import { namedSections } from './section-names.ts';

/** Named values in their order; a name may come once. */
type Fields = ReadonlyMap<string, string>;

/** Fields that differ, those of A first. */
export function diffFields(a: Fields, b: Fields): FieldDiff[] {
  const names = new Set([...a.keys(), ...b.keys()]);
  return [...names].flatMap((field) => {
    const [one, other] = [a.get(field), b.get(field)];
    if (one === other) return [];
    return [{ field, ...(one === undefined ? {} : { a: one }), ...(other === undefined ? {} : { b: other }) }];
  });
}

export function headerFields({ header, sections }: Eif): Fields {
  return new Map([
    ['version', String(header.version)],
    ['arch', header.arch],
    ['flags', `0x${header.flags.toString(16)}`],
    ['default memory', String(header.defaultMem)],
    ['default cpus', String(header.defaultCpus)],
    ['sections', [...namedSections(sections).keys()].join(' ')],
    ['crc32', header.crc32.toString(16).padStart(8, '0')],
  ]);
}

/** The words of a kernel command line by the part before `=`; the second `console=` is `console (2)`. */
export function cmdlineFields(cmdline: string): Fields {
  const fields = new Map<string, string>();
  const counts = new Map<string, number>();
  for (const word of cmdline.split(' ').filter((each) => each !== '')) {
    const [name = ''] = word.split('=');
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    fields.set(count === 1 ? name : `${name} (${count})`, word);
  }
  return fields;
}

/** The leaves of a JSON value by their path; values are cut. Depth was bounded when the section was read. */
export function metadataFields(value: unknown): Fields {
  const fields = new Map<string, string>();
  const visit = (path: string, each: unknown): void => {
    const isContainer = typeof each === 'object' && each !== null && Object.keys(each).length > 0;
    if (!isContainer) {
      fields.set(path, cut(JSON.stringify(each)));
      return;
    }
    for (const [key, inner] of Object.entries(each)) visit(path === '' ? key : `${path}.${key}`, inner);
  };
  visit('', value);
  return fields;
}

export function signatureFields({ signature }: Eif): Fields {
  if (signature === undefined) return new Map();
  const { algorithm, subject, validFrom, validTo, PCR8, certificate } = signature;
  return new Map([
    ['algorithm', algorithm],
    ['subject', subject.replaceAll('\n', ', ')],
    ['valid from', validFrom.toISOString()],
    ['valid to', validTo.toISOString()],
    ['certificate sha256', createHash('sha256').update(certificate).digest('hex')],
    ['PCR8', PCR8],
  ]);
}

/** A long value ends in its hash, so that two of them are alike only when they are the same. */
function cut(text: string): string {
  if (text.length <= MAX_SHOWN_VALUE) return text;
  const hash = createHash('sha256').update(text).digest('hex');
  return `${text.slice(0, MAX_SHOWN_VALUE)}… (${text.length} characters, sha256 ${hash})`;
}
