import * as z from 'zod';
import { parseDuration } from '../duration.ts';
import { duration, matching, port } from './fields.ts';

const DEFAULT_INTERVAL = '10s';
const DEFAULT_TIMEOUT = '2s';
const DEFAULT_RETRIES = 3;
const DEFAULT_START_PERIOD = '1m';

const tcp = z
  .strictObject({ port: port('TCP port of the application.') })
  .meta({ description: 'Healthy when the application accepts a connection.', allowed: 'a map' });

const http = z
  .strictObject({
    port: port('TCP port of the application, for plain HTTP.'),
    path: matching(/^\/[\x21-\x7e]{0,1023}$/, 'What is asked for, by GET.', 'a path, with a query where needed')
      .meta({ default: '/' })
      .nullish(),
    status: z
      .int()
      .min(100)
      .max(599)
      .meta({
        description: 'The one status that counts as healthy. Without it, 200 to 399.',
        allowed: 'an HTTP status, 100 to 599',
      })
      .nullish(),
  })
  .meta({ description: 'Healthy when the application answers.', allowed: 'a map' });

export const health = z
  .strictObject({
    tcp: tcp.nullish(),
    http: http.nullish(),
    interval: duration('From the end of one check to the next.', { min: '1s', max: '1h' })
      .meta({ default: DEFAULT_INTERVAL })
      .nullish(),
    timeout: duration('A check that takes longer has failed.', { min: '100ms', max: '1h' })
      .meta({ default: DEFAULT_TIMEOUT })
      .nullish(),
    retries: z
      .int()
      .min(1)
      .max(100)
      .meta({
        description: 'So many failures one after the other make the enclave `unhealthy`.',
        allowed: 'a whole number, 1 to 100',
        default: DEFAULT_RETRIES,
      })
      .nullish(),
    start_period: duration('From the start of the application on, failures do not count until a check has passed.', {
      min: '0s',
      max: '24h',
    })
      .meta({ default: DEFAULT_START_PERIOD })
      .nullish(),
  })
  .meta({
    description:
      'How to see that the application works. With it, `ready` waits for the first check that passes. Needs one of `tcp` and `http`.',
    allowed: 'a map',
    oneOf: [{ required: ['tcp'] }, { required: ['http'] }],
  });

export interface Health {
  check: { type: 'tcp'; port: number } | { type: 'http'; port: number; path: string; status?: number };
  intervalMs: number;
  timeoutMs: number;
  retries: number;
  startPeriodMs: number;
}

/** One of `tcp` and `http` is there: conflicts.ts. */
export function normaliseHealth(raw: z.output<typeof health>): Health {
  return {
    check: normaliseCheck(raw),
    intervalMs: parseDuration(raw.interval ?? DEFAULT_INTERVAL),
    timeoutMs: parseDuration(raw.timeout ?? DEFAULT_TIMEOUT),
    retries: raw.retries ?? DEFAULT_RETRIES,
    startPeriodMs: parseDuration(raw.start_period ?? DEFAULT_START_PERIOD),
  };
}

function normaliseCheck({ http, tcp }: z.output<typeof health>): Health['check'] {
  if (tcp) return { type: 'tcp', port: tcp.port };
  if (!http) throw new TypeError('a health check without a check has passed the checks of the manifest');
  const { port, path, status } = http;
  return { type: 'http', port, path: path ?? '/', ...(status == null ? {} : { status }) };
}
