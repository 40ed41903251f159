import { statfs } from 'node:fs/promises';
import { limits } from '../limits.ts';

/**
 * Calls `onRoom` when there is room again on a disk that was full. nats-server does not store again by itself then: 2.9 waits for ever
 * in the stream that it could not write, later ones may have turned JetStream off. Returns how to end the watch.
 */
export function watchFullDisk(folder: string, onRoom: () => void): () => void {
  let wasFull = false;
  const timer = setInterval(() => void look(), limits.diskLookMs);
  const look = async (): Promise<void> => {
    // The folder comes with the server
    const disk = await statfs(folder).catch(() => undefined);
    if (disk === undefined) return;
    const free = disk.bavail * disk.bsize;
    if (free < limits.diskFullBytes) wasFull = true;
    else if (wasFull && free >= limits.diskRoomBytes) {
      wasFull = false;
      onRoom();
    }
  };
  return () => clearInterval(timer);
}
