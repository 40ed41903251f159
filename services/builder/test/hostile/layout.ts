import { mkdir, writeFile } from 'node:fs/promises';
import { digestOf, type ImageSpec } from '../../../../test/images/image.ts';
import { tar } from '../../../../test/images/tar.ts';

export const OCI = 'application/vnd.oci.image';
/** The only layer of the images here. */
export const layer = tar([{ name: 'app', content: 'x' }]);
export const spec: ImageSpec = { layers: [layer], config: { Cmd: ['/app'] } };

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  urls?: string[];
  annotations?: Record<string, string>;
}

/** The files of an OCI layout whose parts a test makes itself. */
export class Layout {
  readonly files = new Map<string, string | Buffer>();

  add(content: object | Buffer | string, mediaType: string): Descriptor {
    const bytes = Buffer.isBuffer(content) || typeof content === 'string' ? Buffer.from(content) : json(content);
    this.files.set(`blobs/sha256/${digestOf(bytes).slice('sha256:'.length)}`, bytes);
    return { mediaType, digest: digestOf(bytes), size: bytes.length };
  }

  index(...manifests: object[]): object {
    return { schemaVersion: 2, manifests };
  }

  /** An image's manifest, with changes. */
  manifest(change: { config?: object; layers?: object[]; configFile?: object } = {}): Descriptor {
    const file = {
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/app'] },
      rootfs: { diff_ids: [digestOf(layer)] },
    };
    const config = this.add({ ...file, ...change.configFile }, `${OCI}.config.v1+json`);
    const layers = change.layers ?? [this.add(layer, `${OCI}.layer.v1.tar`)];
    return this.add({ schemaVersion: 2, config: { ...config, ...change.config }, layers }, `${OCI}.manifest.v1+json`);
  }

  async write(folder: string, index: object | string): Promise<void> {
    await mkdir(`${folder}/blobs/sha256`, { recursive: true });
    const { files } = this;
    files.set('oci-layout', '{"imageLayoutVersion":"1.0.0"}');
    files.set('index.json', typeof index === 'string' ? index : json(index));
    for (const [path, bytes] of files) await writeFile(`${folder}/${path}`, bytes);
  }
}

export function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}
