import type { Findings } from './findings.ts';

/** `/etc/os-release` (freedesktop.org, `os-release(5)`): assignments as a shell has them. */
export function readOsRelease(_path: string, bytes: Buffer, findings: Findings): void {
  const values = new Map<string, string>();
  for (const line of bytes.toString('utf8').split('\n')) {
    const [, key = '', value = ''] = /^([A-Z_]+)=(.*)$/.exec(line.trimEnd()) ?? [];
    const [, double, single] = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)')$/.exec(value) ?? [];
    if (key !== '') values.set(key, double?.replaceAll(/\\(.)/g, '$1') ?? single ?? value);
  }
  const id = values.get('ID');
  const sound = (text: string | undefined): text is string => text !== undefined && /^[\x20-\x7e]{1,128}$/.test(text);
  if (!sound(id) || !/^[a-z0-9._-]+$/.test(id)) return;
  const name = values.get('NAME');
  const version = values.get('VERSION_ID');
  findings.os = { id, name: sound(name) ? name : id, ...(sound(version) ? { version } : {}) };
}
