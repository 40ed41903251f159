import { type Eif, namedSections, openRamdiskFile, parseName, readEif } from '@enclaver/eif';
import type { Command } from 'commander';
import { CliError } from '../../cli-error.ts';
import { writeStdout } from '../../output/stdout.ts';
import { writeWholeFile, writeWholeFolder } from '../../output/whole-file.ts';
import { onEif } from './on-eif.ts';
import { nameInRamdisk, ramdisksOf } from './ramdisks.ts';

interface ExtractOptions {
  to?: string;
  all?: string;
}

export function addExtract(group: Command): void {
  group
    .command('extract')
    .summary('take a section or a file out of an EIF')
    .description(
      'Writes a section or a regular file of the ramdisks to stdout or to a file, which gets its name when it is whole.\n' +
        "A path that begins with / is one of the app's file tree. Links are not followed.",
    )
    .argument('<eif>', 'path of the EIF')
    .argument('[what]', 'kernel, cmdline, metadata, signature, ramdisk<n>, or the path of a file')
    .option('--to <path>', 'write to this file')
    .option('--all <folder>', 'write all sections to this new folder')
    .action(extract);
}

async function extract(path: string, what: string | undefined, { to, all }: ExtractOptions): Promise<void> {
  if ((what === undefined) === (all === undefined) || (to !== undefined && all !== undefined)) {
    throw new CliError(
      'USAGE',
      'either a section or file is taken out, or --all of them',
      'see `enclaver eif extract --help`',
    );
  }
  await onEif(path, async () => {
    const eif = await readEif(path);
    if (all !== undefined) {
      await writeWholeFolder(
        all,
        [...namedSections(eif.sections)].map(([name, section]) => [name, eif.data(section)]),
      );
    } else if (what !== undefined) {
      await give(await partOf(eif, what), to);
    }
  });
}

async function give(data: AsyncIterable<Buffer>, to: string | undefined): Promise<void> {
  if (to !== undefined) return await writeWholeFile(to, data);
  for await (const piece of data) await writeStdout(piece);
}

async function partOf(eif: Eif, what: string): Promise<AsyncIterable<Buffer>> {
  const sections = namedSections(eif.sections);
  const section = sections.get(what);
  if (section !== undefined) return eif.data(section);
  const ramdisks = ramdisksOf(eif).map((ramdisk) => ramdisk.section);
  const file = await openRamdiskFile(eif, ramdisks, nameInRamdisk(parseName(what)));
  if (file !== undefined) return file.data;
  const names = [...sections.keys()].join(', ');
  const remedy = `sections are ${names}; see the files with \`enclaver eif ls\``;
  throw new CliError('EIF_NO_SUCH_PART', `there is no section or file ${what}`, remedy);
}
