import { isIP } from 'node:net';
import type { PublishedPort } from '@enclaver/bus';
import { InvalidArgumentError } from 'commander';

/**
 * Reads `-p [ip:]host-port:enclave-port`. An IPv6 address stands in brackets; without an address it is 0.0.0.0, as with
 * `docker run`. The original's pattern is not anchored and takes `127.0.0.1:8080:80` for host port 1 (fault D15).
 */
export function parsePublish(text: string, earlier: PublishedPort[] = []): PublishedPort[] {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(\d{1,5}):(\d{1,5})$/.exec(text);
  const host = (match?.[1] ?? '0.0.0.0').replace(/^\[|\]$/g, '');
  const port = Number(match?.[2]);
  const listenPort = Number(match?.[3]);
  if (match === null || isIP(host) === 0 || port > 65535 || listenPort < 1 || listenPort > 65535) {
    throw new InvalidArgumentError(
      `Allowed is [ip:]host-port:enclave-port, TCP, such as 8080:80 or 127.0.0.1:8080:80.`,
    );
  }
  return [...earlier, { host, port, listenPort }];
}
