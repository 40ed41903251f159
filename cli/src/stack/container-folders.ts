import { chmod, chown, copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type BusUser, busUsers } from '@enclaver/bus';

/** User and group that services in containers run as. */
export interface Owner {
  uid: number;
  gid: number;
}

/** Users of the bus that are people: their files stay where commands find them. */
const people: readonly BusUser[] = ['cli', 'reader'];

/**
 * Prepares a stack folder and a data folder for containers: `bus/<service>/bus.json` and `bus/nats/nats.conf` are copies of what is
 * in `bus`, so that a container sees a folder with its own file alone; all of it belongs to `owner`. A container engine
 * makes what it is to mount, for root and open to all, so folders that are there change hands, too.
 */
export async function prepareForContainers(stackDir: string, dataDir: string, { uid, gid }: Owner): Promise<void> {
  const bus = join(stackDir, 'bus');
  const services = busUsers.filter((user) => !people.includes(user));
  const copies = [
    ...services.map((user) => ({ from: join(bus, `${user}.json`), folder: join(bus, user), name: 'bus.json' })),
    { from: join(bus, 'nats.conf'), folder: join(bus, 'nats'), name: 'nats.conf' },
  ];
  const folders = [
    ...[stackDir, bus, join(stackDir, 'run'), ...copies.map(({ folder }) => folder)],
    ...[dataDir, join(dataDir, 'bus'), join(dataDir, 'nsm')],
  ];
  for (const folder of folders) {
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o700);
  }
  for (const { from, folder, name } of copies) await copyFile(from, join(folder, name));
  const files = [
    ...copies.flatMap(({ from, folder, name }) => [from, join(folder, name)]),
    ...people.map((user) => join(bus, `${user}.json`)),
  ];
  for (const path of [...folders, ...files]) await chown(path, uid, gid);
}
