/** The part of a document that is made from code: between two marks that say by which script. */
export interface DocSection {
  /** Path of the script, from the top of the repository. */
  script: string;
  /** Told apart by this where one document has several. */
  name: string;
}

const marks = ({ script, name }: DocSection): [string, string] => [
  `<!-- ${name}: written by ${script} -->`,
  `<!-- end of ${name} -->`,
];

/** The document with the text between the marks replaced. Throws when it has lost them. */
export function withSection(document: string, section: DocSection, text: string): string {
  const [first, last] = marks(section);
  const start = document.indexOf(first);
  const end = document.indexOf(last, start);
  if (start === -1 || end === -1) throw new Error(`the document has lost ${first} or ${last}`);
  return `${document.slice(0, start + first.length)}\n\n${text}\n\n${document.slice(end)}`;
}

/** Rows of cells as a table in Markdown, its first row the heading. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const [heading = [], ...body] = rows;
  return [heading, heading.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
