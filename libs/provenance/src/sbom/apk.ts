import type { Findings } from './findings.ts';

/** Alpine's packages: `lib/apk/db/installed` (apk-tools, `apk-package(5)`). F names a folder, R a file in it. */
export function readApkInstalled(path: string, bytes: Buffer, findings: Findings): void {
  for (const stanza of bytes.toString('latin1').split('\n\n')) {
    const fields = new Map<string, string>();
    let folder = '';
    for (const line of stanza.split('\n')) {
      const key = line.slice(0, 1);
      const value = line.slice(2);
      if (line[1] !== ':') continue;
      if (key === 'F') folder = value;
      else if (key === 'R') findings.own(`${folder}/${value}`);
      else if (!fields.has(key)) fields.set(key, Buffer.from(value, 'latin1').toString('utf8'));
    }
    const name = fields.get('P');
    const version = fields.get('V');
    if (name === undefined || version === undefined) continue;
    const arch = fields.get('A');
    const license = fields.get('L');
    findings.add({
      type: 'apk',
      name,
      version,
      path,
      ...(arch === undefined ? {} : { qualifiers: { arch } }),
      ...(license === undefined || license === '' ? {} : { license }),
    });
  }
}
