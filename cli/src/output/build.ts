import type { OperationResponse } from '@enclaver/bus';

type BuildResult = OperationResponse<'builder', 'build'>;
type ImageInfo = { id: string; name?: string; repoDigest?: string };

/** The shape of the original's 0.6.1 summary, and after it what only we have. */
export function buildSummary(result: BuildResult): Record<string, unknown> {
  const { eif, image, sources, tools } = result;
  return {
    Sources: {
      App: { ...imageInfo(sources.app), Layers: sources.app.layers },
      ...(sources.base === undefined ? {} : { Sleeve: imageInfo(sources.base) }),
    },
    Measurements: measurementsOf(result),
    ...(image === undefined
      ? {}
      : {
          Image: {
            ...imageInfo(image),
            Digest: image.digest,
            Layers: image.layers.map(({ digest, size }) => ({ Digest: digest, Size: size })),
          },
        }),
    EIF: { Path: eif.path, Size: eif.size, SHA256: eif.sha256 },
    Platform: result.platform,
    Tools: { Enclaver: tools.enclaver, Kernel: tools.kernel, Node: tools.node, Toolchain: tools.toolchain },
    ...(result.checked === true ? { Checked: true } : {}),
    ...(result.documents === undefined ? {} : { Documents: result.documents }),
  };
}

/** What the original's earlier versions print, and after it a line for each thing that was done besides. */
export function buildText(result: BuildResult): string {
  const { eif, image } = result;
  const made =
    image === undefined ? `Built EIF: ${eif.path}` : `Built Release Image: ${image.id} (${image.name ?? image.id})`;
  const lines = [made, 'EIF Info:', JSON.stringify({ Measurements: measurementsOf(result) }, null, 2)];
  if (result.checked === true) lines.push('Checked: a second build under other conditions gave the same file');
  if (image?.repoDigest !== undefined) lines.push(`Pushed: ${image.repoDigest}`);
  for (const document of result.documents ?? []) lines.push(`Written: ${document}`);
  return `${lines.join('\n')}\n`;
}

function measurementsOf({ measurements }: BuildResult): Record<string, string> {
  return { HashAlgorithm: 'Sha384 { ... }', ...measurements };
}

function imageInfo({ id, name, repoDigest }: ImageInfo): Record<string, string> {
  return {
    ID: id,
    ...(name === undefined ? {} : { Name: name }),
    ...(repoDigest === undefined ? {} : { RepoDigest: repoDigest }),
  };
}
