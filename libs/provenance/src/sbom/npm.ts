import { dirname } from 'node:path/posix';
import * as z from 'zod';
import { type Findings, showPath } from './findings.ts';

const packageSchema = z.object({ name: z.string(), version: z.string(), license: z.unknown().optional() });
const INSTALLED = /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/;

/** A Node package: one that is installed, or the app itself. A package.json within a package only sets options. */
export function readPackageJson(path: string, bytes: Buffer, findings: Findings): void {
  const installed = INSTALLED.test(path);
  if (!installed && /(?:^|\/)node_modules\//.test(path)) return;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    findings.note(`${showPath(path)}: not JSON`);
    return;
  }
  const found = packageSchema.safeParse(value);
  if (!found.success) return;
  const { name: full, version, license } = found.data;
  const [, namespace, name = ''] = /^(?:(@[^/]+)\/)?([^/]+)$/.exec(full) ?? [];
  findings.add({
    type: 'npm',
    ...(namespace === undefined ? {} : { namespace }),
    name,
    version,
    path,
    ...(typeof license === 'string' && license !== '' ? { license } : {}),
  });
  if (installed) findings.ownFolder(dirname(path));
}
