import { resolve } from 'node:path';
import type { ImageSource } from '@enclaver/manifest';
import type { WorkDir } from '../work-dir.ts';
import { archiveStore, folderStore, openOrClose } from './blob-store.ts';
import { openDockerArchive } from './docker-archive.ts';
import { Engine, type EngineProgress, openEngineImage } from './engine.ts';
import type { Image } from './image.ts';
import { openOciLayout } from './oci-layout.ts';

export interface OpenOptions {
  /** Absolute folder that relative paths start from. */
  contextDir: string;
  work: WorkDir;
  pull: boolean;
  onProgress?: EngineProgress;
}

/** Opens the image that a manifest names. `name` is how the manifest writes it. */
export async function openSource(source: ImageSource, name: string, options: OpenOptions): Promise<Image> {
  if (source.kind === 'reference') {
    const { work, pull, onProgress } = options;
    const engine = new Engine();
    return openEngineImage(engine, source.reference, work, {
      pull,
      ...(onProgress === undefined ? {} : { onProgress }),
    });
  }
  const path = resolve(options.contextDir, source.path);
  const store = await (source.kind === 'oci' ? folderStore(path) : archiveStore(path, { private: false }));
  const image = await openOrClose(store, () =>
    source.kind === 'docker-archive' ? openDockerArchive(store) : openOciLayout(store, source.reference),
  );
  image.name = name;
  return image;
}
