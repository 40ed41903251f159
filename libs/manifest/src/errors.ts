export type ManifestErrorCode = 'MANIFEST_TOO_LARGE' | 'MANIFEST_YAML' | 'MANIFEST_INVALID';

export type ProblemCode =
  | 'TOO_LARGE'
  | 'YAML'
  | 'UNKNOWN_KEY'
  | 'MISSING_KEY'
  | 'WRONG_TYPE'
  | 'BAD_VALUE'
  | 'CONFLICT';

/** One thing that is wrong in a manifest, with its place. */
export interface ManifestProblem {
  code: ProblemCode;
  file: string;
  /** From 1. */
  line: number;
  /** From 1, in UTF-16 code units. */
  column: number;
  /** Such as `ingress[0].listen_port`; empty for the document itself. */
  path: string;
  /** What stands there. */
  found: string;
  /** What may stand there. */
  allowed: string;
  /** What to do about it, where that is clear. */
  remedy?: string;
}

/** Longest list of problems in a message: past that, a file is not a manifest and the rest says nothing new. */
const SHOWN_PROBLEMS = 25;

/** A manifest that was refused. `problems` holds all that is wrong, in the order of the file; the message lists them. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
  readonly code: ManifestErrorCode;
  readonly problems: readonly ManifestProblem[];
  readonly remedy: string;

  constructor(code: ManifestErrorCode, problems: readonly ManifestProblem[], options: { cause?: unknown } = {}) {
    const ordered = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
    const lines = ordered.slice(0, SHOWN_PROBLEMS).map(describe);
    if (ordered.length > SHOWN_PROBLEMS) lines.push(`and ${ordered.length - SHOWN_PROBLEMS} more`);
    super(lines.join('\n'), options);
    this.code = code;
    this.problems = ordered;
    this.remedy = 'mend the manifest; docs/manifest.md lists every key and what it may hold';
  }
}

function describe({ file, line, column, path, found, allowed, remedy }: ManifestProblem): string {
  const where = `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}`;
  return `${where}found ${found}; allowed: ${allowed}${remedy === undefined ? '' : ` (${remedy})`}`;
}
