import type { EifSection } from './layout.ts';

/** What people call the sections of an image: their types, ramdisks with a number from 0. In file order. */
export function sectionNames(sections: readonly EifSection[]): string[] {
  let ramdisks = 0;
  return sections.map(({ type }) => {
    if (type !== 'ramdisk') return type;
    ramdisks += 1;
    return `ramdisk${ramdisks - 1}`;
  });
}
