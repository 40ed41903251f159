import type { Findings } from './findings.ts';
import { headerFields } from './headers.ts';

/** Debian's packages: `status`, or a file for each in `status.d` as "distroless" images have it (dpkg, `deb-control(5)`). */
export function readDpkgStatus(path: string, bytes: Buffer, findings: Findings): void {
  for (const stanza of bytes.toString('utf8').split(/\n[ \t]*\n/)) {
    const fields = headerFields(stanza.replace(/^\n+/, ''));
    const name = fields.get('package');
    const version = fields.get('version');
    if (name === undefined || version === undefined) continue;
    // A package that was removed but not purged keeps its stanza
    if (!(fields.get('status') ?? 'install ok installed').endsWith(' installed')) continue;
    const arch = fields.get('architecture');
    findings.add({ type: 'deb', name, version, path, ...(arch === undefined ? {} : { qualifiers: { arch } }) });
  }
}

/** Files of one package: `info/NAME.list`, a path on each line. */
export function readDpkgList(_path: string, bytes: Buffer, findings: Findings): void {
  for (const line of bytes.toString('latin1').split('\n')) if (line !== '') findings.own(line);
}

/** The same in "distroless" images: `status.d/NAME.md5sums`, digest and path. */
export function readDpkgSums(_path: string, bytes: Buffer, findings: Findings): void {
  for (const line of bytes.toString('latin1').split('\n')) {
    const [, name] = /^[0-9a-f]{32} [ *](.+)$/.exec(line) ?? [];
    if (name !== undefined) findings.own(name);
  }
}
