/** Writes the table of metrics in docs/observe.md from the definitions that the services register. */
import { readFile, writeFile } from 'node:fs/promises';
import { withSection } from '../doc-section.ts';
import { metricsSection, metricsTable } from './metrics-table.ts';

const document = new URL('../../docs/observe.md', import.meta.url);

await writeFile(document, withSection(await readFile(document, 'utf8'), metricsSection, metricsTable()));
