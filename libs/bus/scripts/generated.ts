import { withSection } from '../../../scripts/doc-section.ts';
import { asyncApi } from './asyncapi.ts';
import { eventTypes } from './event-types.ts';
import { eventTable, operationTable } from './tables.ts';

const script = 'libs/bus/scripts/generate.ts';
const top = new URL('../../../', import.meta.url);

/** Every file that is made from the schemas, and how: from what it was, where only a part of it is. */
export const generated: readonly { file: URL; make: (before: string) => string }[] = [
  { file: new URL('docs/asyncapi.json', top), make: () => `${JSON.stringify(asyncApi(), null, 2)}\n` },
  { file: new URL('libs/events/src/event-types.ts', top), make: eventTypes },
  {
    file: new URL('docs/events.md', top),
    make: (before) =>
      withSection(
        withSection(before, { script, name: 'events' }, eventTable()),
        { script, name: 'operations' },
        operationTable(),
      ),
  },
];
