/** Writes what is made from the schemas of the bus: docs/asyncapi.json, the tables of docs/events.md, the types of libs/events. */
import { readFile, writeFile } from 'node:fs/promises';
import { generated } from './generated.ts';

for (const { file, make } of generated) {
  await writeFile(file, make(await readFile(file, 'utf8').catch(() => '')));
}
