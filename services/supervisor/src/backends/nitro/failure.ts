import { type CodeMeaning, codes, reasons } from './codes.ts';
import { NitroError } from './nitro-error.ts';

const CODE = /^\[ E(\d{2}) \] ?(.*)$/gm;
const LOG = /^If you open a support ticket, please provide the error log found at "(.*)"$/m;
/** Longest words of nitro-cli in a message. */
const WORDS = 400;

/**
 * The error that nitro-cli's stderr tells of, as one cause and one remedy. A command that fails in the process of the enclave says
 * so first and then E39, because that process is gone: the first code is the cause.
 */
export function failureOf(command: string, exitCode: number | null, stderr: string): NitroError {
  const [first] = [...stderr.matchAll(CODE)];
  const number = first === undefined ? (exitCode ?? 0) : Number(first[1]);
  const meaning = meaningOf(number, stderr);
  const code = `NITRO_E${String(number).padStart(2, '0')}` as const;
  if (meaning === undefined) {
    return new NitroError(code, `nitro-cli ${command} ended with code ${exitCode}: ${words(stderr)}`, {
      remedy: 'see the error list of the AWS documentation: this code is newer than this Enclaver',
    });
  }
  const log = LOG.exec(stderr)?.[1];
  const said = first?.[2]?.trim() ?? stderr;
  const text = `nitro-cli ${command}: ${meaning.cause} (it said: ${words(said)}${log === undefined ? '' : `; its log: ${log}`})`;
  return new NitroError(code, text, { remedy: meaning.remedy, passing: meaning.passing === true });
}

/** Whether stderr tells of an error. */
export function hasFailed(stderr: string): boolean {
  return /^\[ E\d{2} \]/m.test(stderr);
}

/** What a code means; where the words of the driver say more, what they mean. */
function meaningOf(number: number, stderr: string): CodeMeaning | undefined {
  const driver = number >= 28 && number <= 36 ? reasons.find(({ said }) => said.test(stderr)) : undefined;
  return driver ?? codes[number];
}

function words(text: string): string {
  const flat = text.replace(/\s+/g, ' ').trim();
  return flat === '' ? 'nothing' : flat.slice(0, WORDS);
}
