import { randomUUID } from 'node:crypto';
import type { OperationResponse } from '@enclaver/bus';
import { showText } from '@enclaver/eif';
import type { Command } from 'commander';
import { withBuild } from '../build-request.ts';
import { exitCodes } from '../exit-codes.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../output/format.ts';
import { formatTable } from '../output/table.ts';
import { openOrStartSession } from '../session.ts';
import { sourceFrom } from '../source.ts';

type Verdict = OperationResponse<'builder', 'verifyBuild'>;

export function addVerifyBuild(program: Command): void {
  const command = program
    .command('verify-build')
    .summary('build a release image again and compare')
    .description(
      "Builds a release image's enclave again from the manifest and the source image that it records, with this release of\n" +
        'Enclaver, and says what differs. A signature is not compared.\n' +
        `Exit code: 0 the same bytes; ${exitCodes.failure} different, or no comparison was possible.`,
    )
    .argument('<image>', 'release image')
    .option('--from <image>', 'where its source image is now, if not where it was');
  addOutputOption(command, 'text', 'json').action(verifyBuild);
}

async function verifyBuild(image: string, options: { from?: string; output: OutputFormat }): Promise<void> {
  const from = options.from === undefined ? undefined : sourceFrom(process.cwd(), options.from);
  await using session = await openOrStartSession();
  const buildId = randomUUID();
  const verdict = await withBuild(session.bus, buildId, () =>
    session.bus.request('builder', 'verifyBuild', { buildId, image, from, contextDir: process.cwd() }),
  );
  if (verdict === undefined) {
    process.exitCode = exitCodes.interrupted;
    return;
  }
  if (options.output === 'json') writeJson(verdict);
  else process.stdout.write(describe(image, verdict));
  if (!verdict.identical) process.exitCode = exitCodes.failure;
}

function describe(image: string, { identical, recorded, rebuilt, differences }: Verdict): string {
  const rows = (['PCR0', 'PCR1', 'PCR2'] as const).map((register) => {
    const same = recorded.measurements[register] === rebuilt.measurements[register];
    return [register, same ? 'same' : 'differs', recorded.measurements[register], rebuilt.measurements[register]];
  });
  const table = formatTable(['register', '', 'in the image', 'built again'], rows);
  if (identical) return `${table}Verified: ${image} holds what its recorded inputs give\n`;
  const versions =
    recorded.enclaver === rebuilt.enclaver
      ? ''
      : `The image is of Enclaver ${showText(recorded.enclaver ?? '(not recorded)')}, this is ${rebuilt.enclaver}: PCR0 and PCR1 differ between releases\n`;
  return `${table}${differences.map((line) => `${line}\n`).join('')}${versions}Different: ${image} does not hold what its recorded inputs give here\n`;
}
