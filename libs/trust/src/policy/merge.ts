import { isDeepStrictEqual } from 'node:util';
import { TrustError } from '../errors.ts';
import type { JsonNode } from '../json-tree.ts';
import { MAX_KEY_POLICY_BYTES } from '../limits.ts';
import { invalid, parsePolicy } from './document.ts';
import type { KmsStatement } from './statement.ts';

export interface MergedPolicy {
  /** The policy as it was, and as it is now: the same text where nothing had to change. */
  before: string;
  after: string;
}

type Json = Record<string, unknown>;

/**
 * Puts a statement into a key policy: in the place of the one with its Sid, else behind the last one. All other bytes stay as
 * they are. Conditions of the old statement that are not about attestation (an encryption context, say) are kept, since to
 * drop them would open the key further. Merging the result again changes nothing.
 *
 * Throws POLICY_INVALID, and POLICY_TOO_LARGE above the 32 KiB that KMS takes.
 */
export function mergePolicy(file: string, statement: KmsStatement): MergedPolicy {
  const { text, tree, statements } = parsePolicy(file);
  const same = statements.filter(({ sid }) => sid === statement.Sid);
  if (same.length > 1) throw invalid(`${same.length} statements have the Sid ${statement.Sid}`);
  const list = member(tree, 'Statement');
  if (list === undefined) throw invalid('it has no Statement');
  const elements = list.kind === 'array' ? list.elements : [list];
  const old = same[0] === undefined ? undefined : elements[same[0].index];
  const after = old === undefined ? insert(text, list, elements, statement) : replace(text, old, statement);
  const size = Buffer.byteLength(after);
  if (size > MAX_KEY_POLICY_BYTES) {
    throw new TrustError(
      'POLICY_TOO_LARGE',
      `the policy would have ${size} bytes; KMS takes at most ${MAX_KEY_POLICY_BYTES}`,
      'take out statements that are not needed any more, or the white space',
    );
  }
  return { before: text, after };
}

function replace(text: string, old: JsonNode, statement: KmsStatement): string {
  const before = JSON.parse(text.slice(old.start, old.end)) as Json;
  const { StringEqualsIgnoreCase: sameOperator, ...others } = foreignConditions(before);
  const wanted = {
    ...statement,
    Condition: {
      StringEqualsIgnoreCase: { ...statement.Condition.StringEqualsIgnoreCase, ...sameOperator },
      ...others,
    },
  };
  if (isDeepStrictEqual(before, wanted)) return text;
  return text.slice(0, old.start) + render(wanted, text, indentAt(text, old.start)) + text.slice(old.end);
}

/** What an earlier statement asks for besides attestation, by operator. */
function foreignConditions(statement: Json): Record<string, Json> {
  const kept = Object.entries((statement.Condition ?? {}) as Record<string, Json>).map(([operator, keys]) => {
    const others = Object.entries(keys).filter(([key]) => !/^kms:RecipientAttestation:/i.test(key));
    return [operator, Object.fromEntries(others)] as const;
  });
  return Object.fromEntries(kept.filter(([, keys]) => Object.keys(keys).length > 0));
}

function insert(text: string, list: JsonNode, elements: readonly JsonNode[], statement: KmsStatement): string {
  const last = elements.at(-1);
  const line = lineEnd(text);
  const unit = indentUnit(text);
  if (last === undefined) {
    const outer = indentAt(text, list.start);
    const added =
      line === ''
        ? render(statement, text, '')
        : `${line}${outer}${unit}${render(statement, text, outer + unit)}${line}${outer}`;
    return `${text.slice(0, list.start)}[${added}]${text.slice(list.end)}`;
  }
  // The elements of a list on one line go on there; those on lines of their own have an indent to follow
  const ownLine = line !== '' && text.slice(0, last.start).trimEnd().length <= text.lastIndexOf('\n', last.start);
  const indent = indentAt(text, last.start);
  const between = ownLine || list.kind !== 'array' ? `,${line}${indent}` : ',';
  const added = between + render(statement, text, indent);
  const grown = text.slice(0, last.end) + added;
  if (list.kind === 'array') return grown + text.slice(last.end);
  return `${text.slice(0, last.start)}[${grown.slice(last.start)}]${text.slice(last.end)}`;
}

/** In the style of the policy: its indent and line ends, or none where it is written on one line. */
function render(value: unknown, text: string, indent: string): string {
  const line = lineEnd(text);
  if (line === '') return JSON.stringify(value);
  return JSON.stringify(value, null, indentUnit(text)).replaceAll('\n', `${line}${indent}`);
}

function lineEnd(text: string): string {
  if (text.includes('\r\n')) return '\r\n';
  return text.trim().includes('\n') ? '\n' : '';
}

/** White space at the start of the first line that has any: one level. */
function indentUnit(text: string): string {
  return /\n([ \t]{1,8})\S/.exec(text)?.[1] ?? '  ';
}

/** White space at the start of the line that a place is on. */
function indentAt(text: string, at: number): string {
  return /^[ \t]*/.exec(text.slice(text.lastIndexOf('\n', at - 1) + 1, at))?.[0] ?? '';
}

function member(node: JsonNode, name: string): JsonNode | undefined {
  return node.kind === 'object' ? node.members.find(({ key }) => key === name)?.value : undefined;
}
