import { Readable } from 'node:stream';
import type { Engine } from '../image/engine.ts';
import { type TarMember, tarSize, writeTar } from '../tar/tar-write.ts';
import type { ReleaseImage } from './release-image.ts';

/**
 * Gives an image to an engine under a name, in the form of `docker save`. Throws ENGINE_UNREACHABLE, ENGINE_ERROR.
 * @param onBytes called with the bytes sent so far and how many there are
 */
export async function loadRelease(
  { id, config, layers }: ReleaseImage,
  name: string,
  engine: Engine,
  onBytes: (done: number, total: number) => void,
): Promise<void> {
  const members: (TarMember & { size: number })[] = layers.map((layer, index) => ({
    name: `${index}.tar`,
    mode: 0o644,
    size: layer.size,
    data: layer.read(),
  }));
  const configName = `${id.replace('sha256:', '')}.json`;
  const manifest = Buffer.from(
    JSON.stringify([{ Config: configName, RepoTags: [name], Layers: members.map((member) => member.name) }]),
  );
  for (const [file, data] of [
    [configName, config],
    ['manifest.json', manifest],
  ] as const) {
    members.push({ name: file, mode: 0o644, size: data.length, data });
  }
  const total = tarSize(members);
  const counted = async function* (): AsyncGenerator<Buffer> {
    let done = 0;
    for await (const chunk of writeTar(members)) {
      done += chunk.length;
      onBytes(done, total);
      yield chunk;
    }
  };
  await engine.load(Readable.from(counted(), { objectMode: false }));
}
