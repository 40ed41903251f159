import { readFile } from 'node:fs/promises';
import { certificatePcr, imagePcr } from '@enclaver/eif';
import { options } from '../arguments.ts';
import { Failure } from '../errors.ts';
import { print } from '../output.ts';

export async function pcr(args: readonly string[]): Promise<void> {
  const { input, 'signing-certificate': certificate } = options(args, { values: ['input', 'signing-certificate'] });
  if (input !== undefined && certificate !== undefined) throw new Failure(2, '`input` and `signing-certificate`');
  if (certificate !== undefined) print({ PCR8: certificatePcr(await read(certificate)).toString('hex') });
  else if (input !== undefined) print({ PCR: imagePcr(await read(input)).toString('hex') });
  else throw new Failure(1, '`input`');
}

async function read(path: string): Promise<Buffer> {
  return await readFile(path).catch(() => {
    throw new Failure(19, `File: '${path}', failing operation: 'Open'.`);
  });
}
