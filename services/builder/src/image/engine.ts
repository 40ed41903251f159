import { join } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import type Dockerode from 'dockerode';
import { BuilderError } from '../builder-error.ts';
import { checkPlatform, type Platform } from '../platform.ts';
import type { WorkDir } from '../work-dir.ts';
import { archiveStore, openOrClose } from './blob-store.ts';
import { openDockerArchive } from './docker-archive.ts';
import { followEvents } from './engine-events.ts';
import type { Image } from './image.ts';
import { repositoryOf } from './names.ts';

/** Bytes of a save, for people. */
export type EngineProgress = (update: { stage: 'resolve'; text: string; done?: number; total?: number }) => void;

export interface EngineImage {
  /** As the engine knows it. */
  id: string;
  platform: Platform;
  size: number;
  repoDigest?: string;
}

/** A Docker Engine, found as the docker client finds it (DOCKER_HOST, or the usual socket). */
export class Engine {
  readonly docker: Dockerode;
  readonly #signal: AbortSignal | undefined;

  private constructor(docker: Dockerode, signal: AbortSignal | undefined) {
    this.docker = docker;
    this.#signal = signal;
  }

  /**
   * The client brings gRPC and SSH, 18 MiB of memory, which builds from registries and files do without.
   * @param signal its reason ends whatever is asked of the engine, which may take a connection and stay silent
   */
  static async find(signal?: AbortSignal): Promise<Engine> {
    const { default: Client } = await import('dockerode');
    return new Engine(new Client(), signal);
  }

  /** Throws ENGINE_UNREACHABLE. */
  async ping(): Promise<void> {
    await this.#answer(this.docker.ping()).catch((cause: unknown) => {
      throw this.#failure(cause, 'ping');
    });
  }

  /** Undefined when the engine has no such image. Throws IMAGE_ARCH, ENGINE_UNREACHABLE, ENGINE_ERROR. */
  async inspect(reference: string): Promise<EngineImage | undefined> {
    try {
      const found = await this.#answer(this.docker.getImage(reference).inspect());
      const platform = checkPlatform(found.Os, found.Architecture, reference);
      const digests = found.RepoDigests ?? [];
      const repoDigest = digests.find((digest) => digest.startsWith(`${repositoryOf(reference)}@`)) ?? digests[0];
      return { id: found.Id, platform, size: found.Size, ...(repoDigest === undefined ? {} : { repoDigest }) };
    } catch (error) {
      if (error instanceof BuilderError) throw error;
      if (statusCode(error) === 404) return undefined;
      throw this.#failure(error, `inspect ${reference}`);
    }
  }

  /** Loads an archive of `docker save`. Throws ENGINE_UNREACHABLE, ENGINE_ERROR. */
  async load(archive: Readable): Promise<void> {
    // A request whose body breaks off would wait for the rest for ever
    const broken = new AbortController();
    const failed = new Promise<never>((_, reject) => archive.once('error', reject));
    try {
      const loading = this.docker.loadImage(archive, { abortSignal: broken.signal });
      const answer = await this.#answer(Promise.race([loading, failed]));
      await followEvents(this.#abortable(answer as Readable));
    } catch (error) {
      broken.abort();
      if (error instanceof BuilderError) throw error;
      throw this.#failure(error, 'load an image');
    }
  }

  /**
   * Gives `use` the tar archive of one path of an image; undefined where the image has no such path. Engines give files only
   * out of containers: this one is never started. Throws ENGINE_UNREACHABLE, ENGINE_ERROR.
   */
  async withPath<T>(image: EngineImage, path: string, use: (archive: Readable) => Promise<T>): Promise<T | undefined> {
    const created = this.docker.createContainer({
      Image: image.id,
      platform: image.platform,
      // For images that have none
      Cmd: ['none'],
      NetworkDisabled: true,
      Labels: { 'enclaver.extract': '' },
    });
    // Made after all when nobody waits any more
    const removed = (late: Dockerode.Container): void => void late.remove({ force: true }).catch(() => undefined);
    const container = await this.#answer(created, removed).catch((cause: unknown) => {
      throw this.#failure(cause, 'create a container');
    });
    try {
      const archive = await this.#answer(container.getArchive({ path }), letGo).catch((cause: unknown) => {
        if (statusCode(cause) === 404) return undefined;
        throw this.#failure(cause, 'read a file');
      });
      return archive === undefined ? undefined : await use(this.#abortable(archive as Readable));
    } finally {
      await this.#answer(container.remove({ force: true }));
    }
  }

  /** Saves an image into the work folder and opens it. Throws as `openDockerArchive`, and ENGINE_ERROR, DISK_FULL. */
  async save(reference: string, found: EngineImage, work: WorkDir, onProgress?: EngineProgress): Promise<Image> {
    const file = work.newName('saved', '.tar');
    const archive = await work.newFile(file);
    let done = 0;
    try {
      // By id: between inspect and get, the name may have moved to another image
      const stream = await this.#answer(this.docker.getImage(found.id).get(), letGo);
      for await (const chunk of this.#abortable(stream as Readable) as AsyncIterable<Buffer>) {
        await work.charge(chunk.length);
        for (let at = 0; at < chunk.length; ) at += (await archive.write(chunk, at)).bytesWritten;
        done += chunk.length;
        onProgress?.({ stage: 'resolve', text: `reading ${reference} from the engine`, done, total: found.size });
      }
    } catch (error) {
      if (error instanceof BuilderError) throw error;
      throw this.#failure(error, `save ${reference}`);
    }
    const store = await archiveStore(join(work.path, file), { private: true });
    const image = await openOrClose(store, () => openDockerArchive(store));
    image.name = reference;
    if (found.repoDigest !== undefined) image.repoDigest = found.repoDigest;
    return image;
  }

  /** Not every request of the client takes a signal: whoever waits hears of it all the same, and `onLate` of what comes after that. */
  #answer<T>(asked: Promise<T>, onLate: (late: T) => void = () => undefined): Promise<T> {
    const signal = this.#signal;
    if (signal === undefined) return asked;
    const aborted = Promise.withResolvers<never>();
    const stop = (): void => {
      aborted.reject(signal.reason);
      asked.then(onLate, () => undefined);
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    return Promise.race([asked, aborted.promise]).finally(() => signal.removeEventListener('abort', stop));
  }

  #abortable(stream: Readable): Readable {
    return this.#signal === undefined ? stream : addAbortSignal(this.#signal, stream);
  }

  /** The reason of the signal, where that has ended it. */
  #failure(cause: unknown, doing: string): unknown {
    return this.#signal?.aborted === true ? this.#signal.reason : engineError(cause, doing);
  }
}

/** Of an answer that nobody waits for any more: the engine holds what it sends for as long as it is not read. */
function letGo(late: NodeJS.ReadableStream): void {
  (late as Readable).destroy();
}

export function engineError(cause: unknown, doing: string): BuilderError {
  if (unreachable(cause)) {
    return new BuilderError('ENGINE_UNREACHABLE', `no Docker Engine answers: ${text(cause)}`, {
      remedy:
        'start one or set DOCKER_HOST; without: sources.app from docker-archive:, oci-archive: or oci:, and --eif-only',
      cause,
    });
  }
  return new BuilderError('ENGINE_ERROR', `the Docker Engine failed (${doing}): ${text(cause)}`, {
    remedy: 'look into the log of the Docker Engine',
    cause,
  });
}

export function statusCode(error: unknown): number | undefined {
  const code = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof code === 'number' ? code : undefined;
}

function unreachable(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return [
    'ECONNREFUSED',
    'ENOENT',
    'EACCES',
    'ENOTFOUND',
    'EAI_AGAIN',
    'ETIMEDOUT',
    'ECONNRESET',
    'EHOSTUNREACH',
  ].includes(String(code));
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
