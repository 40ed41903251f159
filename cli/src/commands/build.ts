import { randomUUID } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { decodeManifest, MAX_MANIFEST_BYTES } from '@enclaver/manifest';
import { type Command, Option } from 'commander';
import { readBounded } from '../bounded-file.ts';
import { withBuild } from '../build-request.ts';
import { CliError } from '../cli-error.ts';
import { exitCodes } from '../exit-codes.ts';
import { buildSummary, buildText } from '../output/build.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../output/format.ts';
import { openOrStartSession } from '../session.ts';
import { sourceFrom } from '../source.ts';

interface BuildOptions {
  file: string;
  from?: string;
  platform?: 'linux/amd64' | 'linux/arm64';
  pull?: true;
  eifOnly?: string;
  push?: true;
  check?: true;
  provenance?: true;
  sbom?: true;
  sign?: string;
  output: OutputFormat;
}

export const PLATFORMS = ['linux/amd64', 'linux/arm64'] as const;

export function addBuild(program: Command): void {
  const command = program
    .command('build')
    .summary('package a container image as an enclave')
    .description(
      'Builds the image that a manifest names into an enclave image (EIF) and packs that into a release image.\n' +
        'SIGINT and SIGTERM cancel the build; kept is at most a release image that was delivered by then.',
    )
    .option('-f, --file <manifest>', 'manifest; - reads it from stdin', 'enclaver.yaml')
    .option('--from <image>', "build this image in place of the manifest's sources.app")
    .addOption(
      new Option('--platform <platform>', "of an image for several platforms; default: the image's own").choices(
        PLATFORMS,
      ),
    )
    .option('--pull', 'fetch the source image from its registry even if it is here')
    .option('--eif-only <path>', 'write the EIF to <path> and make no release image; needs no container engine')
    .option('--push', 'push the release image to the registry of its name; needs no container engine')
    .option('--check', 'build twice under different conditions and refuse a result that differs')
    .option('--provenance', 'attach SLSA provenance to the pushed image, or write it beside the EIF')
    .option('--sbom', "the same with a CycloneDX list of what is in the app's files")
    .option('--sign <key>', 'sign image, measurements, provenance and SBOM with a cosign key; implies --provenance');
  addOutputOption(command, 'text', 'json').action(build);
}

async function build(options: BuildOptions): Promise<void> {
  if (options.push === true && options.eifOnly !== undefined) {
    throw new CliError('USAGE', '--push and --eif-only were given', 'give one of them: only a release image is pushed');
  }
  const { from, platform, pull, push, check, sbom, sign, eifOnly } = options;
  const manifest = await readManifest(options.file);
  const source = { ...manifest, ...(from === undefined ? {} : { from: sourceFrom(manifest.contextDir, from) }) };
  await using session = await openOrStartSession();
  const buildId = randomUUID();
  const result = await withBuild(session.bus, buildId, () =>
    session.bus.request('builder', 'build', {
      buildId,
      ...source,
      platform,
      pull,
      push,
      check,
      provenance: options.provenance ?? (sign === undefined ? undefined : true),
      sbom,
      signKey: sign === undefined || sign.includes('://') ? sign : resolve(sign),
      eifOnly: eifOnly === undefined ? undefined : resolve(eifOnly),
    }),
  );
  if (result === undefined) process.exitCode = exitCodes.interrupted;
  else if (options.output === 'json') writeJson(buildSummary(result));
  else process.stdout.write(buildText(result));
}

/**
 * The manifest's text, its name in messages, and the folder that its paths start from: the current one for stdin. It goes into the
 * image as it is, so that its bytes must survive being text. Errors: `MANIFEST_UNREADABLE`, `MANIFEST_TOO_LARGE`, `MANIFEST_YAML`.
 */
async function readManifest(file: string): Promise<{ manifest: string; manifestFile: string; contextDir: string }> {
  if (file === '-') {
    const manifestFile = '(stdin)';
    const bytes = await readBounded(process.stdin, MAX_MANIFEST_BYTES);
    return { manifest: decodeManifest(bytes, manifestFile), manifestFile, contextDir: process.cwd() };
  }
  const path = resolve(file);
  return {
    manifest: decodeManifest(await readManifestFile(path), file),
    manifestFile: file,
    contextDir: dirname(path),
  };
}

async function readManifestFile(path: string): Promise<Buffer> {
  try {
    return await readBounded(path, MAX_MANIFEST_BYTES);
  } catch (cause) {
    throw new CliError(
      'MANIFEST_UNREADABLE',
      `cannot read the manifest ${path}: ${(cause as Error).message}`,
      'name it with -f, or run the command in the folder that has an enclaver.yaml',
      { cause },
    );
  }
}
