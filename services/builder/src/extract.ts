import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { readEif } from '@enclaver/eif';
import { BuilderError } from './builder-error.ts';
import { Engine, engineError, fullReference, statusCode } from './image/engine.ts';
import { PendingFile, sha256OfFile } from './output.ts';
import { EIF_IN_IMAGE } from './release-image.ts';
import { StreamInput } from './tar/byte-input.ts';
import { readTar } from './tar/tar-read.ts';
import { checkSpace } from './work-dir.ts';

/**
 * Takes `/enclave/application.eif` out of an image of the engine, checks that it is an EIF, and puts it into the data
 * folder; returns its path. Throws IMAGE_NOT_FOUND, IMAGE_NO_EIF, ENGINE_UNREACHABLE, and EifError for a damaged one.
 */
export async function extractEif(image: string, dataDir: string): Promise<string> {
  const engine = new Engine();
  const reference = /^(sha256:)?[0-9a-f]{64}$/.test(image) ? image : fullReference(image);
  const found = await engine.inspect(reference);
  if (found === undefined) {
    throw new BuilderError('IMAGE_NOT_FOUND', `the engine has no image ${reference}`, {
      remedy: `build it with \`enclaver build\`, or \`docker pull ${reference}\` first`,
    });
  }
  await using output = await PendingFile.inStore(dataDir);
  await copyOut(engine, found.id, reference, output.path, dataDir);
  await readEif(output.path);
  return output.place(await sha256OfFile(output.path));
}

async function copyOut(engine: Engine, id: string, reference: string, to: string, dataDir: string): Promise<void> {
  // Never started: engines give files only out of containers. The command is for images that have none
  const container = await engine.docker
    .createContainer({ Image: id, Cmd: ['none'], NetworkDisabled: true, Labels: { 'enclaver.extract': '' } })
    .catch((cause: unknown) => {
      throw engineError(cause, 'create a container');
    });
  try {
    const stream = await container.getArchive({ path: `/${EIF_IN_IMAGE}` }).catch((cause: unknown) => {
      throw statusCode(cause) === 404 ? noEif(reference) : engineError(cause, 'read a file');
    });
    await writeFirstFile(stream as Readable, reference, to, dataDir);
  } finally {
    await container.remove({ force: true });
  }
}

async function writeFirstFile(stream: Readable, reference: string, to: string, dataDir: string): Promise<void> {
  const input = new StreamInput(stream);
  try {
    const first = await readTar(input).next();
    if (first.done === true || first.value.type !== 'file') throw noEif(reference);
    await checkSpace(dataDir, first.value.size);
    await using file = await open(to, 'wx', 0o644);
    for (let missing = first.value.size; missing > 0; ) {
      const chunk = await input.some(missing);
      if (chunk.length === 0) throw new BuilderError('IMAGE_TRUNCATED', `the engine broke off reading ${reference}`);
      for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
      missing -= chunk.length;
    }
  } finally {
    await input.close();
  }
}

function noEif(reference: string): BuilderError {
  return new BuilderError('IMAGE_NO_EIF', `${reference} has no file /${EIF_IN_IMAGE}: it is no release image`, {
    remedy: 'name the `target` of a manifest that `enclaver build` has built',
  });
}
