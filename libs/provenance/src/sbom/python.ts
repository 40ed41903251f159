import { dirname, join } from 'node:path/posix';
import type { Findings } from './findings.ts';
import { headerFields } from './headers.ts';

/** A Python package: METADATA of a `.dist-info`, PKG-INFO of an `.egg-info` (PyPA, "Core metadata specifications"). */
export function readPythonMetadata(path: string, bytes: Buffer, findings: Findings): void {
  const fields = headerFields(bytes.toString('utf8'));
  const name = fields.get('name');
  const version = fields.get('version');
  if (name === undefined || version === undefined) return;
  const license = fields.get('license-expression') ?? fields.get('license');
  findings.add({
    type: 'pypi',
    // Names are the same in any case and with any of - _ . between words (PEP 503)
    name: name.toLowerCase().replaceAll(/[-_.]+/g, '-'),
    version,
    path,
    ...(license === undefined || license === '' ? {} : { license }),
  });
}

/** Files of one package: `RECORD` beside METADATA, a line `path,hash,size` each, from the folder above. */
export function readPythonRecord(path: string, bytes: Buffer, findings: Findings): void {
  const folder = dirname(dirname(path));
  for (const line of bytes.toString('latin1').split('\n')) {
    const [, quoted, plain] = /^(?:"((?:[^"]|"")*)"|([^,]+)),/.exec(line) ?? [];
    const name = quoted?.replaceAll('""', '"') ?? plain;
    if (name !== undefined) findings.own(join(folder, name));
  }
}
