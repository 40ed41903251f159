import { checkEif, verifyImage } from '@enclaver/provenance';
import type { Command } from 'commander';
import { exitCodes } from '../exit-codes.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../output/format.ts';
import { readPublicKey } from '../public-key-file.ts';
import { openOrStartSession } from '../session.ts';

interface VerifyOptions {
  key: string;
  output: OutputFormat;
}

export function addVerify(program: Command): void {
  const command = program
    .command('verify')
    .summary('check who built a release image, from what, and what it measures')
    .description(
      'Checks a release image in its registry: that it, its PCR statement and its SLSA provenance are signed by a key, and\n' +
        'that the measurements of its bytes are those of the statement. Needs cosign, which fetches; nothing is started.\n' +
        `Exit code: 0 all of it holds; ${exitCodes.failure} something does not, with its error.`,
    )
    .argument('<image>', 'release image in its registry, by tag or digest')
    .requiredOption('--key <cosign.pub>', 'public key of whoever builds, in PEM form');
  addOutputOption(command, 'text', 'json').action(verify);
}

async function verify(reference: string, { key: keyFile, output }: VerifyOptions): Promise<void> {
  const key = await readPublicKey(keyFile);
  const passed: string[] = [];
  const onPassed = (text: string): void => {
    passed.push(text);
    if (output === 'text') process.stdout.write(`ok  ${text}\n`);
  };
  const verified = await verifyImage(reference, key, { onPassed });
  await using session = await openOrStartSession();
  const found = await session.bus.request('builder', 'extract', { image: verified.image });
  checkEif(verified, found);
  onPassed('the PCRs of the image, computed from its bytes, are those of the statement');
  onPassed('the EIF in the image is the one of the provenance');
  const { image, provenance, sbom } = verified;
  if (output === 'json') {
    writeJson({
      image,
      checks: passed,
      EIF: { SHA256: found.sha256 },
      Measurements: found.measurements,
      provenance: provenance.predicate,
      ...(sbom === undefined ? {} : { sbom: sbom.predicate }),
    });
    return;
  }
  for (const [register, value] of Object.entries(found.measurements))
    process.stdout.write(`    ${register} ${value}\n`);
  process.stdout.write(`Verified: ${image}\n`);
}
