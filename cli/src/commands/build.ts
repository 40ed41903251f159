import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { OperationResponse } from '@enclaver/bus';
import type { Command } from 'commander';
import { CliError } from '../cli-error.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../output/format.ts';
import { ProgressLine } from '../output/progress.ts';
import { openOrStartSession } from '../session.ts';

interface BuildOptions {
  file: string;
  eifOnly?: string;
  pull?: true;
  output: OutputFormat;
}

type BuildResult = OperationResponse<'builder', 'build'>;

export function addBuild(program: Command): void {
  const command = program
    .command('build')
    .summary('package a container image as an enclave')
    .description(
      'Builds the image that a manifest names into an enclave image (EIF) and packs that into a release image.',
    )
    .option('-f, --file <manifest>', 'manifest', 'enclaver.yaml')
    .option('--eif-only <path>', 'write the EIF to <path> and make no release image; needs no container engine')
    .option('--pull', 'fetch the source image even if it is here');
  addOutputOption(command, 'text', 'json').action(build);
}

async function build(options: BuildOptions): Promise<void> {
  const file = resolve(options.file);
  const manifest = await readManifest(file);
  await using session = await openOrStartSession();
  const buildId = randomUUID();
  const progress = new ProgressLine();
  const stopProgress = await session.bus.onBuildProgress(buildId, (update) => progress.show(update));
  try {
    const result = await session.bus.request('builder', 'build', {
      buildId,
      manifest,
      manifestFile: options.file,
      contextDir: dirname(file),
      ...(options.pull === undefined ? {} : { pull: options.pull }),
      ...(options.eifOnly === undefined ? {} : { eifOnly: resolve(options.eifOnly) }),
    });
    progress.end();
    print(result, options.output);
  } finally {
    progress.end();
    stopProgress();
  }
}

async function readManifest(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new CliError(
      'MANIFEST_UNREADABLE',
      `cannot read the manifest ${file}: ${(cause as Error).message}`,
      'name it with -f, or run the command in the folder that has an enclaver.yaml',
      { cause },
    );
  }
}

/** JSON is the shape of the original's 0.6.1 summary; text is what its earlier versions print. */
function print(result: BuildResult, output: OutputFormat): void {
  const measurements = { HashAlgorithm: 'Sha384 { ... }', ...result.measurements };
  if (output === 'json') {
    writeJson({
      Sources: { App: imageInfo(result.sources.app) },
      Measurements: measurements,
      ...(result.image === undefined ? {} : { Image: imageInfo(result.image) }),
      EIF: { Path: result.eif.path, Size: result.eif.size, SHA256: result.eif.sha256 },
    });
    return;
  }
  const made =
    result.image === undefined
      ? `Built EIF: ${result.eif.path}`
      : `Built Release Image: ${result.image.id} (${result.image.name})`;
  process.stdout.write(`${made}\nEIF Info:\n`);
  writeJson({ Measurements: measurements });
}

function imageInfo(image: BuildResult['sources']['app']): Record<string, string> {
  return {
    ID: image.id,
    ...(image.name === undefined ? {} : { Name: image.name }),
    ...(image.repoDigest === undefined ? {} : { RepoDigest: image.repoDigest }),
  };
}
