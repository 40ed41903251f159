import { type Command, Option } from 'commander';

export type OutputFormat = 'text' | 'table' | 'json';

/** `-o`: for people by default, JSON for programs. */
export function addOutputOption(command: Command, ...formats: [OutputFormat, ...OutputFormat[]]): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'form of the result').choices(formats).default(formats[0]),
  );
}

/** A result for people and programs alike, indented, on stdout. */
export function writeJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** One item of a stream of results: a line of JSON on stdout. */
export function writeJsonLine(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
