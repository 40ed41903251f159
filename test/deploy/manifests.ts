import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

/** A Kubernetes object, as it is written. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  [field: string]: unknown;
}

const models = resolve(import.meta.dirname, '../../node_modules/kubernetes-models');

/** Folder of a kind in `kubernetes-models`, which is made from Kubernetes' own OpenAPI document. */
const folderOf = ({ apiVersion }: Manifest): string => (apiVersion === 'v1' ? 'v1' : apiVersion);

interface Validated {
  validate(): void;
}

/**
 * What Kubernetes would not take, a line each: by its OpenAPI document, required fields, types and allowed values; and fields that
 * the document does not have, which its validator lets pass and `kubectl apply` refuses: a type check finds them.
 */
export async function problemsOf(manifests: readonly Manifest[]): Promise<string[]> {
  const problems: string[] = [];
  for (const manifest of manifests) {
    const file = join(models, folderOf(manifest), `${manifest.kind}.js`);
    await access(file);
    const { [manifest.kind]: Kind } = (await import(pathToFileURL(file).href)) as Record<
      string,
      new (
        manifest: Manifest,
      ) => Validated
    >;
    if (Kind === undefined) throw new Error(`${file} has no ${manifest.kind}`);
    try {
      new Kind(manifest).validate();
    } catch (error) {
      problems.push(`${manifest.kind} ${manifest.metadata.name}: ${(error as Error).message}`);
    }
  }
  return [...problems, ...unknownFields(manifests)];
}

/** Objects as literals of their types: TypeScript refuses a literal with a field that its type does not have. */
function unknownFields(manifests: readonly Manifest[]): string[] {
  const source = manifests
    .map((manifest, index) => {
      const type = `import('kubernetes-models/${folderOf(manifest)}/${manifest.kind}').I${manifest.kind}`;
      return `export const object${index}: ${type} = ${JSON.stringify(manifest, null, 2)};`;
    })
    .join('\n');
  const file = join(import.meta.dirname, 'manifests.generated.ts');
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (name, ...more) =>
    name === file ? ts.createSourceFile(name, source, ts.ScriptTarget.ESNext) : getSourceFile(name, ...more);
  host.fileExists = (name) => name === file || fileExists(name);
  host.readFile = (name) => (name === file ? source : readFile(name));
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText, start = 0 }) => {
    const line = source.slice(0, start).split('\n').length;
    return `${source.split('\n')[line - 1]?.trim()}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
}
