import {
  type Alias,
  CST,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  Parser,
  parseDocument,
} from 'yaml';
import { ManifestError, type ManifestProblem } from './errors.ts';
import { MAX_ALIASES, MAX_DEPTH, MAX_ENTRIES, MAX_MANIFEST_BYTES, MAX_SHOWN_LENGTH } from './limits.ts';

export type Path = readonly PropertyKey[];
export type Place = Pick<ManifestProblem, 'file' | 'line' | 'column'>;

/** A YAML file read within bounds: its value, and where each part of it stands. */
export interface YamlSource {
  value: unknown;
  /** Where the value at a path stands; for a path that is not there, the nearest part around it. */
  placeOf(path: Path): Place;
  /** Where the key stands that the last step of the path names. */
  placeOfKey(path: Path): Place;
}

/** Reads one YAML 1.2 document (core schema). Throws ManifestError with MANIFEST_TOO_LARGE or MANIFEST_YAML. */
export function readYaml(text: string, file: string): YamlSource {
  const lines = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  guard(text, (offset, found, allowed) => {
    const before = text.slice(0, offset).split('\n');
    const place = { file, line: before.length, column: (before.at(-1) ?? '').length + 1 };
    return new ManifestError('MANIFEST_YAML', [{ code: 'YAML', ...place, path: '', found, allowed }]);
  });
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    uniqueKeys: true,
    strict: true,
    stringKeys: true,
    prettyErrors: false,
    lineCounter: lines,
    // Not 'silent': that would also let a second document pass.
    logLevel: 'error',
  });
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    throw new ManifestError(
      'MANIFEST_YAML',
      faults.map(({ code, message, pos: [start] }) => ({
        code: 'YAML',
        ...placeAt(start),
        path: '',
        found: oneLine(message),
        allowed: ALLOWED[code] ?? 'YAML 1.2',
      })),
    );
  }
  return {
    value: toValue(document, placeAt(0)),
    placeOf: (path) => placeAt(offsetOf(locate(document, path).value)),
    placeOfKey: (path) => {
      const { key, value } = locate(document, path);
      return placeAt(offsetOf(key ?? value));
    },
  };
}

const ALLOWED: Record<string, string> = {
  MULTIPLE_DOCS: 'one document in the file',
  DUPLICATE_KEY: 'each key once in a map',
  TAG_RESOLVE_FAILED: 'plain YAML without own tags',
  NON_STRING_KEY: 'text as the key of a map',
};

/**
 * Looks at the tokens before anything is built from them: the library composes nested nodes by recursion and compares
 * the keys of a map pairwise, so depth and number of entries are bounded here.
 */
function guard(text: string, refuse: (offset: number, found: string, allowed: string) => ManifestError): void {
  const parser = new Parser();
  let entries = 0;
  for (const lexeme of new Lexer().lex(text)) {
    for (const _ of parser.next(lexeme)) {
      // The parser only works while its output is taken.
    }
    // The stack holds the document, one token for each open collection, and the scalar being read.
    if (parser.stack.length > MAX_DEPTH + 2) {
      throw refuse(parser.offset, `nesting deeper than ${MAX_DEPTH}`, `at most ${MAX_DEPTH} levels`);
    }
    const type = CST.tokenType(lexeme);
    if (type === 'map-value-ind' || type === 'seq-item-ind' || type === 'explicit-key-ind' || type === 'comma') {
      entries += 1;
      if (entries > MAX_ENTRIES) {
        throw refuse(parser.offset, `more than ${MAX_ENTRIES} entries`, `at most ${MAX_ENTRIES} in lists and maps`);
      }
    }
  }
}

function toValue(document: Document, place: Place): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    // The library throws ReferenceError for aliases that expand too far, and for those without an anchor.
    if (!(cause instanceof ReferenceError)) throw cause;
    const allowed = `aliases of anchors that stand before them, expanding to at most ${MAX_ALIASES} nodes`;
    const problem: ManifestProblem = { code: 'YAML', ...place, path: '', found: oneLine(cause.message), allowed };
    throw new ManifestError('MANIFEST_YAML', [problem], { cause });
  }
}

/** The library's words, which may repeat any part of the file, as they are fit for a terminal. */
function oneLine(message: string): string {
  return message.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 2 * MAX_SHOWN_LENGTH);
}

/** The nodes at a path: as far as it can be followed. */
function locate(document: Document, path: Path): { key?: Node; value: Node | null } {
  let value = resolve(document, document.contents);
  let key: Node | undefined;
  for (const step of path) {
    let next: unknown;
    let nextKey: Node | undefined;
    if (isMap(value)) {
      const pair = value.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (pair === undefined) break;
      nextKey = isNode(pair.key) ? pair.key : undefined;
      next = pair.value;
    } else if (isSeq(value)) {
      next = value.items[Number(step)];
    }
    if (!isNode(next)) {
      // A key without a value: the key is the nearest thing there is.
      return { ...(nextKey === undefined ? {} : { key: nextKey }), value: nextKey ?? value };
    }
    key = nextKey;
    value = resolve(document, next);
  }
  return key === undefined ? { value } : { key, value };
}

function resolve(document: Document, node: Node | null): Node | null {
  return isAlias(node) ? ((node as Alias).resolve(document) ?? node) : node;
}

function offsetOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}

/** The text of a manifest given as bytes, which must be UTF-8; nothing is lost, so that as UTF-8 it is the same bytes again. */
export function decodeManifest(source: string | Uint8Array, file: string): string {
  const place = { file, line: 1, column: 1, path: '' };
  const size = typeof source === 'string' ? Buffer.byteLength(source) : source.length;
  if (size > MAX_MANIFEST_BYTES) {
    const found = `a file of ${size} bytes`;
    const allowed = `at most ${MAX_MANIFEST_BYTES} bytes`;
    throw new ManifestError('MANIFEST_TOO_LARGE', [{ code: 'TOO_LARGE', ...place, found, allowed }]);
  }
  if (typeof source === 'string') return source;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(source);
  } catch (cause) {
    const problem = { code: 'YAML' as const, ...place, found: 'bytes that are not UTF-8', allowed: 'text in UTF-8' };
    throw new ManifestError('MANIFEST_YAML', [problem], { cause });
  }
}
