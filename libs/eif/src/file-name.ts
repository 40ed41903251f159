import { isUtf8 } from 'node:buffer';

/** A name or link target of a ramdisk. It is bytes: where they are not UTF-8, `path` has replacement characters. */
export interface FileName {
  path: string;
  /** Only where the bytes are not UTF-8. */
  pathBase64?: string;
}

/** A name as data for JSON, without loss. */
export function fileName(bytes: Buffer): FileName {
  const path = bytes.toString('utf8');
  return isUtf8(bytes) ? { path } : { path, pathBase64: bytes.toString('base64') };
}

/**
 * A name on one line of a terminal, and never two names alike: a byte that is not UTF-8 as `\xff`, a backslash as
 * `\\`, and what `showText` escapes.
 */
export function showName(name: FileName | Uint8Array): string {
  const bytes = name instanceof Uint8Array ? Buffer.from(name) : bytesOf(name);
  if (isUtf8(bytes)) return showUtf8(bytes);
  let shown = '';
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((each) => isUtf8(bytes.subarray(at, at + each)));
    const character = bytes.subarray(at, at + (length ?? 1));
    shown += length === undefined ? `\\x${character.toString('hex')}` : showUtf8(character);
    at += character.length;
  }
  return shown;
}

/** The bytes of a name as `showName` writes it, or as it is typed: only backslashes must be doubled. */
export function parseName(shown: string): Buffer {
  const parts: Buffer[] = [];
  let last = 0;
  for (const { 0: found, index } of shown.matchAll(ESCAPE)) {
    parts.push(Buffer.from(shown.slice(last, index), 'utf8'), unescaped(found));
    last = index + found.length;
  }
  return Buffer.concat([...parts, Buffer.from(shown.slice(last), 'utf8')]);
}

const ESCAPE = /\\(?:\\|n|r|t|x[0-9a-f]{2}|u\{[0-9a-f]{1,5}\})/g;

function unescaped(found: string): Buffer {
  const plain = new Map([...SHORT_ESCAPES].map(([character, shown]) => [shown, character])).get(found);
  if (plain !== undefined) return Buffer.from(plain);
  if (found === '\\\\') return Buffer.from('\\');
  if (found.startsWith('\\x')) return Buffer.from(found.slice(2), 'hex');
  return Buffer.from(String.fromCodePoint(Number.parseInt(found.slice(3, -1), 16)));
}

function showUtf8(bytes: Buffer): string {
  return showText(bytes.toString('utf8').replaceAll('\\', '\\\\'));
}

const SHORT_ESCAPES = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

/**
 * Text of a file that nobody vouches for, made safe to print: what a terminal would obey, and what hides or turns the
 * direction of writing, is shown as an escape.
 */
export function showText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const point = character.codePointAt(0) ?? 0;
    const byNumber = point < 0x80 ? `\\x${point.toString(16).padStart(2, '0')}` : `\\u{${point.toString(16)}}`;
    return SHORT_ESCAPES.get(character) ?? byNumber;
  });
}

function bytesOf({ path, pathBase64 }: FileName): Buffer {
  return pathBase64 === undefined ? Buffer.from(path, 'utf8') : Buffer.from(pathBase64, 'base64');
}
