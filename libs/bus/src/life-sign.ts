import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

/** Shorter than the longest of an enclave's own sockets: a path of a socket has at most 107 bytes. */
const NAME = /^alive-[0-9a-f]{12}\.sock$/;

/**
 * A Unix socket under a name of its own, which the kernel closes at the end of its process, however that ends. Whoever sees the folder
 * can tell, from another container too, where process numbers say nothing.
 */
export class LifeSign {
  readonly path: string;
  readonly #server: Server;

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
  }

  /** Shows it in `folder`, and takes away those of processes that have ended. */
  static async show(folder: string): Promise<LifeSign> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of (await readdir(folder)).filter((each) => NAME.test(each))) {
      const path = join(folder, name);
      if (await hasGoneOut(path)) await rm(path, { force: true });
    }
    const path = join(folder, `alive-${randomBytes(6).toString('hex')}.sock`);
    const server = createServer((socket) => socket.destroy());
    server.listen(path);
    await once(server, 'listening');
    // It says that this process lives, and is no reason to
    server.unref();
    return new LifeSign(path, server);
  }

  close(): void {
    this.#server.close();
  }
}

/** True when its process has ended for certain; false while it lives, and where the socket cannot be seen from here. */
export async function hasGoneOut(path: string): Promise<boolean> {
  // By name: a number would be a port
  const socket = connect({ path });
  try {
    await once(socket, 'connect');
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}
