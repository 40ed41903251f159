import { MAX_JSON_DEPTH } from './limits.ts';

/** A JSON value with its place in the text: [start, end). */
export type JsonNode = { start: number; end: number } & (
  | { kind: 'object'; members: { key: string; value: JsonNode }[] }
  | { kind: 'array'; elements: JsonNode[] }
  | { kind: 'scalar' }
);

/** Why a text is not JSON that can be read in one way only. */
export class JsonError extends Error {}

/**
 * Reads JSON with the place of each value. Throws JsonError for what is not JSON, for a key that comes twice in one object
 * (readers differ in which one counts) and for more than 32 levels.
 */
export function readJson(text: string): { value: unknown; tree: JsonNode } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new JsonError(`not JSON: ${(cause as Error).message}`, { cause });
  }
  return { value, tree: new Scanner(text).value(0) };
}

/** Finds places in a text that is known to be JSON. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): JsonNode {
    if (depth > MAX_JSON_DEPTH) throw new JsonError(`more than ${MAX_JSON_DEPTH} levels`);
    this.#skipSpace();
    const start = this.#at;
    const first = this.#text[start];
    if (first === '{') {
      const members = this.#list('}', () => this.#member(depth));
      const keys = new Set<string>();
      for (const { key } of members) {
        if (keys.has(key)) throw new JsonError(`the key ${JSON.stringify(key)} comes twice in one object`);
        keys.add(key);
      }
      return { kind: 'object', members, start, end: this.#at };
    }
    if (first === '[') {
      const elements = this.#list(']', () => this.value(depth + 1));
      return { kind: 'array', elements, start, end: this.#at };
    }
    if (first === '"') this.#string();
    else this.#match(/[^\s,\]}]+/y);
    return { kind: 'scalar', start, end: this.#at };
  }

  #member(depth: number): { key: string; value: JsonNode } {
    const key = JSON.parse(this.#string()) as string;
    this.#skipSpace();
    this.#at += 1;
    return { key, value: this.value(depth + 1) };
  }

  #list<Item>(close: string, item: () => Item): Item[] {
    const items: Item[] = [];
    this.#at += 1;
    for (;;) {
      this.#skipSpace();
      if (this.#text[this.#at] === close) break;
      items.push(item());
      this.#skipSpace();
      if (this.#text[this.#at] === ',') this.#at += 1;
    }
    this.#at += 1;
    return items;
  }

  #string(): string {
    return this.#match(/"[^"\\]*(?:\\.[^"\\]*)*"/y);
  }

  #skipSpace(): void {
    this.#match(/\s*/y);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }
}
