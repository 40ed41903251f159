import { exportsText, fleetView, LINK_CHECKS, MAX_PAYLOAD, quote, usersText } from '../server-config.ts';
import { checkListenAddress, type ServerTls, tlsConfig } from '../server-tls.ts';
import { subjects } from '../subjects.ts';

export interface HubConfig {
  /** IP address to listen on; anything but loopback needs `tls`. */
  listen: string;
  /** For those who look at the fleet. */
  port: number;
  /** For the hosts. */
  leafPort: number;
  tls?: ServerTls | undefined;
  hosts: readonly { host: string; password: string }[];
  /** Who looks at the fleet. */
  reader: { user: string; password: string };
}

const account = (host: string): string => `HOST_${host}`;

/**
 * Configuration text for the nats-server that the hosts of a fleet connect to. It keeps nothing. Each host has an account of
 * its own: what it says is seen under its name, whatever it claims, and no host sees another. Errors: `BUS_TLS_REQUIRED`.
 */
export function natsHubConfig(config: HubConfig): string {
  const { hosts, reader } = config;
  const requests = Object.keys(fleetView.requests);
  const permissions = {
    publish: requests.map(subjects.ofEveryHost),
    subscribe: [...fleetView.streams.map(subjects.ofEveryHost), `${subjects.inboxPrefix(reader.user)}.>`],
  };
  checkListenAddress(config.listen, config.tls);
  const tls = config.tls === undefined ? [] : tlsConfig(config.tls);
  return [
    `host: ${quote(config.listen)}`,
    `port: ${config.port}`,
    ...tls,
    `max_payload: ${MAX_PAYLOAD}`,
    LINK_CHECKS,
    'leafnodes {',
    `  host: ${quote(config.listen)}`,
    `  port: ${config.leafPort}`,
    ...tls,
    '  authorization { users: [',
    ...hosts.map(
      ({ host, password }) =>
        `    { user: ${quote(host)}, password: ${quote(password)}, account: ${quote(account(host))} }`,
    ),
    '  ] }',
    '}',
    'accounts {',
    ...hosts.map(({ host }) =>
      [`  ${quote(account(host))} {`, exportsText(fleetView.streams, requests), '  }'].join('\n'),
    ),
    '  FLEET {',
    usersText([{ ...reader, permissions }]),
    '    imports: [',
    ...hosts.flatMap(({ host }) => importsOf(host)),
    '    ]',
    '  }',
    '}',
    '',
  ].join('\n');
}

function importsOf(host: string): string[] {
  const from = (subject: string) => `{ account: ${quote(account(host))}, subject: ${quote(subject)} }`;
  return [
    ...fleetView.streams.map(
      (subject) => `      { stream: ${from(subject)}, to: ${quote(subjects.ofHost(host, subject))} }`,
    ),
    ...Object.keys(fleetView.requests).map(
      (subject) => `      { service: ${from(subject)}, to: ${quote(subjects.ofHost(host, subject))} }`,
    ),
  ];
}
