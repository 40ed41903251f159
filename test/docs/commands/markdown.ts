/** A fenced block of a document. */
export interface Block {
  /** What stands behind the fence: `sh`, `json`, nothing. */
  readonly language: string;
  /** The heading above it. */
  readonly heading: string;
  readonly text: string;
  /** Line of the document with the fence, from 1. */
  readonly line: number;
}

/** Fenced blocks in their order; those in a list are indented, and are given without that. */
export function fencedBlocks(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  let open: { indent: string; language: string; line: number; lines: string[] } | undefined;
  for (const [index, text] of markdown.split('\n').entries()) {
    const [, indent = '', language = ''] = /^( *)```(\S*)$/.exec(text) ?? [];
    const isFence = text.trimStart().startsWith('```');
    if (open === undefined) {
      if (isFence) open = { indent, language, line: index + 1, lines: [] };
      else if (/^#+ /.test(text)) heading = text.replace(/^#+ /, '');
    } else if (isFence) {
      blocks.push({ language: open.language, heading, text: `${open.lines.join('\n')}\n`, line: open.line });
      open = undefined;
    } else {
      open.lines.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text);
    }
  }
  if (open !== undefined) throw new Error(`the block of line ${open.line} has no end`);
  return blocks;
}

/** The commands of a document: its blocks marked `sh`. */
export const shellBlocks = (markdown: string): Block[] =>
  fencedBlocks(markdown).filter(({ language }) => language === 'sh');
