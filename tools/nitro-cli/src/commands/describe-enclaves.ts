import { options } from '../arguments.ts';
import { findAll } from '../enclave-processes.ts';
import { print } from '../output.ts';
import type { Parent } from '../parent.ts';
import { Pool } from '../pool.ts';

export async function describeEnclaves(args: readonly string[], parent: Parent): Promise<void> {
  const { metadata } = options(args, { values: [], flags: ['metadata'] });
  await new Pool(parent).refresh();
  const found = await findAll(parent);
  print(
    found.map(({ described }) => {
      const { ImageName, ImageVersion, Metadata, ...short } = described;
      return metadata === true ? { ...short, ImageName, ImageVersion, Metadata } : short;
    }),
  );
}
