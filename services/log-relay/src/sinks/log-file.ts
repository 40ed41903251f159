import { type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import * as z from 'zod';

/** What is known to be in the file: all up to `bytes`, which was all up to the message at `position`. */
const placeSchema = z.object({
  created: z.string(),
  position: z.number().int().min(0),
  inode: z.number().int(),
  bytes: z.number().int().min(0),
});

type Place = z.infer<typeof placeSchema>;

export interface Rotation {
  /** A file that is as long as this is moved out of the way … */
  bytes: number;
  /** … and this many moved ones are kept: `.1` is the newest. */
  count: number;
}

/**
 * One log file and its older ones. What stands in it is told by a small file beside it, `….place`, so that after a crash
 * what was written since is cut off and written again: each line is in the file once.
 */
export class LogFile {
  readonly #path: string;
  readonly #rotation: Rotation;
  #handle: FileHandle;
  #place: Place;
  #dirty = false;

  private constructor(path: string, rotation: Rotation, handle: FileHandle, place: Place) {
    this.#path = path;
    this.#rotation = rotation;
    this.#handle = handle;
    this.#place = place;
  }

  /** `created` names the stream of messages that positions are of. */
  static async open(path: string, rotation: Rotation, created: string): Promise<LogFile> {
    const handle = await openLog(path);
    try {
      const { ino: inode, size } = await handle.stat();
      const known = await readPlace(placePath(path));
      const isOurs = known !== undefined && known.created === created;
      const position = isOurs ? known.position : 0;
      let bytes = size;
      // Another file, or a shorter one, is somebody's who rotates, too: nothing of it is ours to cut
      if (isOurs && known.inode === inode && size > known.bytes) {
        await handle.truncate(known.bytes);
        bytes = known.bytes;
      }
      const file = new LogFile(path, rotation, handle, { created, position, inode, bytes });
      await file.#writePlace();
      return file;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Last message whose lines are in the file. */
  get position(): number {
    return this.#place.position;
  }

  async append(bytes: Buffer, position: number): Promise<void> {
    if (this.#place.bytes > 0 && this.#place.bytes + bytes.length > this.#rotation.bytes) await this.#rotate();
    const { bytesWritten } = await this.#handle.write(bytes);
    if (bytesWritten < bytes.length) {
      // A full disk takes a part: what it took must not stay in the middle of the file
      const { size } = await this.#handle.stat();
      await this.#handle.truncate(Math.max(0, size - bytesWritten));
      throw Object.assign(new Error('the disk took only a part'), { code: 'ENOSPC' });
    }
    // Asked, not added up: others may truncate the file (`copytruncate`), and we write at its end wherever that is
    const { size } = await this.#handle.stat();
    this.#place = { ...this.#place, position, bytes: size };
    this.#dirty = true;
  }

  /** To the disk: the lines, and then that they are there. */
  async sync(): Promise<void> {
    if (!this.#dirty) return;
    await this.#handle.datasync();
    await this.#writePlace();
    this.#dirty = false;
  }

  async close(): Promise<void> {
    await this.sync();
    await this.#handle.close();
  }

  /** Closes it as it is: another process writes it, and says what is in it. */
  async abandon(): Promise<void> {
    await this.#handle.close();
  }

  /** Moves the file and the older ones on by one number, each in one step, and begins a new one. */
  async #rotate(): Promise<void> {
    await this.sync();
    const { count } = this.#rotation;
    await rm(`${this.#path}.${count}`, { force: true });
    for (let number = count - 1; number >= 1; number -= 1) {
      await rename(`${this.#path}.${number}`, `${this.#path}.${number + 1}`).catch(unlessMissing);
    }
    await rename(this.#path, `${this.#path}.1`).catch(unlessMissing);
    const handle = await openLog(this.#path);
    await this.#handle.close();
    this.#handle = handle;
    const { ino: inode, size: bytes } = await handle.stat();
    this.#place = { ...this.#place, inode, bytes };
    await this.#writePlace();
  }

  async #writePlace(): Promise<void> {
    const path = placePath(this.#path);
    await writeFile(`${path}.new`, JSON.stringify(this.#place), { mode: 0o640 });
    await rename(`${path}.new`, path);
  }
}

function placePath(path: string): string {
  return `${path}.place`;
}

function openLog(path: string): Promise<FileHandle> {
  return open(path, 'a', 0o640);
}

async function readPlace(path: string): Promise<Place | undefined> {
  try {
    return placeSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    // None, or half of one: what is in the log file is left as it is
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    unlessMissing(error);
    return undefined;
  }
}

function unlessMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
