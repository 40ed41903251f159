import type { Findings } from './findings.ts';

/** What the Go linker puts before the build information (Go, `debug/buildinfo`), at a multiple of 16. */
export const GO_MAGIC = Buffer.from('\xff Go buildinf:', 'latin1');
const HEADER_BYTES = 32;
/** Flag: version and modules follow in the file itself, as since Go 1.18. */
const INLINE = 0x2;
/** The modules stand between two marks of 16 bytes. */
const MARK_BYTES = 16;

/** Modules of a Go program; `bytes` begin with the magic. Older programs than of Go 1.18 have pointers and are noted. */
export function readGoBuildInfo(path: string, bytes: Buffer, findings: Findings, shown: string): void {
  if (((bytes[15] ?? 0) & INLINE) === 0) {
    findings.note(`${shown}: a Go program of before 1.18, its modules are not catalogued`);
    return;
  }
  const version = varString(bytes, HEADER_BYTES);
  const modules = version === undefined ? undefined : varString(bytes, version.end);
  if (version === undefined || modules === undefined) {
    findings.note(`${shown}: a Go program whose build information cannot be read`);
    return;
  }
  const [, release] = /^go(\d[\w.-]*)/.exec(version.text.toString('utf8')) ?? [];
  if (release !== undefined) findings.add({ type: 'golang', name: 'stdlib', version: release, path });
  const found = modulesOf(modules.text.subarray(MARK_BYTES, -MARK_BYTES).toString('utf8'));
  if (found.length === 0) findings.note(`${shown}: a Go program that was built without modules, and names none`);
  for (const each of found) {
    const slash = each.name.lastIndexOf('/');
    const namespace = each.name.slice(0, Math.max(slash, 0));
    findings.add({
      type: 'golang',
      ...(namespace === '' ? {} : { namespace }),
      name: each.name.slice(slash + 1),
      version: each.version,
      path,
    });
  }
}

/** Lines `mod` and `dep` with name and version; a line `=>` replaces the one before, unless by a folder of who built it. */
function modulesOf(text: string): { name: string; version: string }[] {
  const found: { name: string; version: string }[] = [];
  for (const line of text.split('\n')) {
    const [kind, name = '', version = ''] = line.split('\t');
    if (kind === '=>' && /^[./]/.test(name)) continue;
    if (kind === '=>') found.pop();
    if (kind === 'mod' || kind === 'dep' || kind === '=>') found.push({ name, version });
  }
  return found.filter(({ name, version }) => name !== '' && version !== '');
}

/** A string after its length as a varint. */
function varString(bytes: Buffer, at: number): { text: Buffer; end: number } | undefined {
  let length = 0;
  for (let index = 0; index < 4; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * 2 ** (7 * index);
    if (byte >= 0x80) continue;
    const start = at + index + 1;
    return start + length > bytes.length
      ? undefined
      : { text: bytes.subarray(start, start + length), end: start + length };
  }
  return undefined;
}
