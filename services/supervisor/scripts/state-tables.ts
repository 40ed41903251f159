import { enclaveStates } from '@enclaver/bus';
import { markdownTable, withSection } from '../../../scripts/doc-section.ts';
import { inputMeanings, inputs, stateMeanings, transition } from '../src/lifecycle/transitions.ts';

const script = 'services/supervisor/scripts/generate.ts';

/** docs/operate.md with its tables of states and of what leads from one to the next. */
export function withSections(document: string): string {
  const states = markdownTable([
    ['State', 'Means'],
    ...enclaveStates.map((state) => [`\`${state}\``, stateMeanings[state]]),
  ]);
  const steps = markdownTable([
    ['Input', 'Leads', 'Means'],
    ...inputs.map((input) => [`\`${input}\``, leads(input), inputMeanings[input]]),
  ]);
  return withSection(withSection(document, { script, name: 'states' }, states), { script, name: 'steps' }, steps);
}

/** From which states an input leads to which, those with the same end together. */
function leads(input: (typeof inputs)[number]): string {
  const sources = new Map<string, string[]>();
  for (const state of enclaveStates) {
    const next = transition(state, input);
    if (next !== undefined) sources.set(next, [...(sources.get(next) ?? []), state]);
  }
  return [...sources].map(([next, from]) => `${from.join(', ')} → \`${next}\``).join('; ');
}
