import type { EifSection } from './layout.ts';

/** The sections by what people call them, in file order: their types, ramdisks with a number from 0. */
export function namedSections(sections: readonly EifSection[]): Map<string, EifSection> {
  let ramdisks = 0;
  return new Map(
    sections.map((section) => {
      if (section.type !== 'ramdisk') return [section.type, section];
      ramdisks += 1;
      return [`ramdisk${ramdisks - 1}`, section];
    }),
  );
}
