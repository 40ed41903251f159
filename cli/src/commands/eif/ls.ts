import { type Eif, parseName, type RamdiskFile, ramdiskFiles, readEif } from '@enclaver/eif';
import type { Command } from 'commander';
import { CliError } from '../../cli-error.ts';
import { addOutputOption, type OutputFormat } from '../../output/format.ts';
import { ramdiskEntry, ramdiskLine } from '../../output/ramdisk-entry.ts';
import { writeStdout } from '../../output/stdout.ts';
import { onEif } from './on-eif.ts';
import { nameInRamdisk, parseRamdisk, ramdisksOf } from './ramdisks.ts';

interface LsOptions {
  ramdisk?: number;
  long?: true;
  output: OutputFormat;
}

export function addLs(group: Command): void {
  const command = group
    .command('ls')
    .summary('list the files in an EIF')
    .description(
      'Lists the files of the ramdisks in the order in which Linux unpacks them. JSON has one line for each file.\n' +
        "A path that begins with / is one of the app's file tree, any other one is taken as it stands in the ramdisk.",
    )
    .argument('<eif>', 'path of the EIF')
    .argument('[path...]', 'files, and folders with all below them; default: everything')
    .option('-l, --long', 'with ramdisk, mode, owner, size or device, and link target')
    .option('--ramdisk <n>', 'only this ramdisk: 0 is the runtime, 1 the app', parseRamdisk);
  addOutputOption(command, 'text', 'json').action(ls);
}

async function ls(path: string, wanted: string[], options: LsOptions): Promise<void> {
  await onEif(path, async () => list(await readEif(path), wanted, options));
}

async function list(eif: Eif, wanted: string[], { ramdisk, long, output }: LsOptions): Promise<void> {
  const missing = new Map(wanted.map((text) => [text, nameInRamdisk(parseName(text))]));
  const names = [...missing.values()];
  for (const { number, section } of ramdisksOf(eif, ramdisk)) {
    for await (const file of ramdiskFiles(eif, section)) {
      if (names.length > 0 && !names.some((name) => isBelow(file, name))) continue;
      for (const [text, name] of missing) if (isBelow(file, name)) missing.delete(text);
      await writeStdout(
        output === 'json'
          ? `${JSON.stringify(ramdiskEntry(number, file))}\n`
          : ramdiskLine(number, file, long === true),
      );
    }
  }
  const [first] = missing.keys();
  if (first !== undefined) {
    throw new CliError('EIF_NO_SUCH_PART', `the ramdisks hold no ${first}`, 'see the names with `enclaver eif ls`');
  }
}

/** The entry of that name, or one in it. */
function isBelow({ path }: RamdiskFile, name: Buffer): boolean {
  const isPrefix = path.subarray(0, name.length).equals(name);
  return isPrefix && (path.length === name.length || path[name.length] === '/'.charCodeAt(0));
}
