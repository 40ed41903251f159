import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { enclaver } from '../stack/enclaver.ts';
import { docker } from '../stack/engine.ts';

export interface BuiltEnclave {
  eif: string;
  summary: { Measurements: Record<string, string>; EIF: { Path: string; Size: number; SHA256: string } };
}

/** Builds a folder with a Dockerfile in the real engine, and the image into an EIF. */
export async function buildEnclave(options: {
  work: string;
  name: string;
  /** Folder with a Dockerfile, or the text of one. */
  context: { folder: string } | { dockerfile: string };
  /** The manifest without version, name, target and sources. */
  manifest: string;
  env: NodeJS.ProcessEnv;
}): Promise<BuiltEnclave> {
  const { work, name } = options;
  const image = `enclaver-test/${name}:e2e`;
  const folder = join(work, name);
  await mkdir(folder, { recursive: true });
  let context = folder;
  if ('folder' in options.context) context = options.context.folder;
  else await writeFile(join(folder, 'Dockerfile'), options.context.dockerfile);
  await docker(['build', '--tag', image, context]);
  const manifest = join(folder, 'enclaver.yaml');
  const head = `version: v1\nname: ${name}\ntarget: enclaver-test/${name}:enclave\nsources:\n  app: ${image}\n`;
  await writeFile(manifest, head + options.manifest);
  const eif = join(folder, `${name}.eif`);
  const built = await enclaver(['build', '-f', manifest, '--eif-only', eif, '-o', 'json'], options.env);
  if (built.code !== 0) throw new Error(`enclaver build ended with ${built.code}:\n${built.stderr}`);
  return { eif, summary: JSON.parse(built.stdout) };
}
