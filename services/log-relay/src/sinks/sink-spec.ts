import { createHash } from 'node:crypto';
import { limits } from '../limits.ts';

export type SinkTarget =
  | { kind: 'stdout'; format: 'text' | 'json' }
  | { kind: 'file'; folder: string; format: 'text' | 'json'; bytes: number; count: number }
  | { kind: 'syslog'; transport: 'udp' | 'tcp'; host: string; port: number }
  | { kind: 'syslog'; transport: 'unix'; path: string }
  | { kind: 'journald'; path: string }
  | { kind: 'otlp'; url: string };

/** One sink of `ENCLAVER_LOG_SINKS`. */
export interface SinkSpec {
  target: SinkTarget;
  /** In metrics, warnings and logs: the kind, with a number from the second of its kind on. */
  label: string;
  /** On the bus, where its place is kept: where it leads, so that a sink of another format goes on at the same place. */
  key: string;
}

const forms =
  'stdout:text, stdout:json, file:/folder[?format=text|json&size=64M&count=5], syslog:/dev/log, syslog://host[:514], ' +
  'syslog+tcp://host[:601], journald:[/socket], otlp:http://host:4318/v1/logs';

/** Reads `ENCLAVER_LOG_SINKS`: URLs with blanks between them. Throws a RangeError that says what is wrong and what is allowed. */
export function parseSinks(text: string): SinkSpec[] {
  const words = text.split(/\s+/).filter((word) => word !== '');
  if (words.length > limits.sinks) throw new RangeError(`${words.length} sinks, at most ${limits.sinks} are allowed`);
  const specs: SinkSpec[] = [];
  for (const word of words) {
    const target = parseTarget(word);
    const { kind } = target;
    const key = `${kind}-${createHash('sha256').update(placeOf(target)).digest('hex').slice(0, 16)}`;
    if (specs.some((other) => other.key === key)) throw new RangeError(`${word} is there twice`);
    const earlier = specs.filter((other) => other.target.kind === kind).length;
    specs.push({ target, key, label: earlier === 0 ? kind : `${kind}-${earlier + 1}` });
  }
  return specs;
}

function parseTarget(word: string): SinkTarget {
  const [scheme = '', ...rest] = word.split(':');
  if (scheme === 'stdout') return { kind: 'stdout', format: formatOf(rest.join(':'), word) };
  if (scheme === 'otlp') return { kind: 'otlp', url: httpUrl(rest.join(':'), word) };
  const url = URL.parse(word);
  if (url === null) throw wrong(word);
  const { pathname: path, hostname: host } = url;
  const query = new Map(url.searchParams);
  const take = (name: string, fallback: string): string => {
    const value = query.get(name) ?? fallback;
    query.delete(name);
    return value;
  };
  const port = Number(url.port || (scheme === 'syslog+tcp' ? 601 : 514));
  let target: SinkTarget | undefined;
  if (scheme === 'file' && host === '' && path !== '/') {
    const [format, bytes, count] = [take('format', 'json'), take('size', '64M'), take('count', '5')];
    target = {
      kind: 'file',
      folder: decodeURIComponent(path),
      format: formatOf(format, word),
      bytes: sizeOf(bytes, word),
      count: countOf(count, word),
    };
  } else if (scheme === 'syslog' && host === '' && path.startsWith('/')) {
    target = { kind: 'syslog', transport: 'unix', path: decodeURIComponent(path) };
  } else if ((scheme === 'syslog' || scheme === 'syslog+tcp') && host !== '' && /^\/?$/.test(path)) {
    const transport = scheme === 'syslog' ? 'udp' : 'tcp';
    target = { kind: 'syslog', transport, host: host.replace(/^\[(.*)\]$/, '$1'), port };
  } else if (scheme === 'journald' && host === '' && (path === '' || path.startsWith('/'))) {
    target = { kind: 'journald', path: path === '' ? '/run/systemd/journal/socket' : decodeURIComponent(path) };
  }
  if (target === undefined || query.size > 0 || url.hash !== '') throw wrong(word);
  return target;
}

function formatOf(text: string, word: string): 'text' | 'json' {
  if (text !== 'text' && text !== 'json') throw wrong(word);
  return text;
}

/** Bytes, with `K`, `M` or `G` for powers of 1024. */
function sizeOf(text: string, word: string): number {
  const [, digits, unit = ''] = /^(\d{1,12})([KMG]?)$/.exec(text) ?? [];
  const bytes = Number(digits) * 1024 ** ' KMG'.indexOf(unit || ' ');
  if (!(bytes >= limits.fileBytesMin)) throw new RangeError(`${word}: size is at least ${limits.fileBytesMin} bytes`);
  return bytes;
}

function countOf(text: string, word: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > limits.fileCountMax) {
    throw new RangeError(`${word}: count is 1 to ${limits.fileCountMax}`);
  }
  return count;
}

function httpUrl(text: string, word: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) throw wrong(word);
  if (url.username !== '' || url.password !== '') {
    throw new RangeError('otlp: a password does not belong into the URL; set OTEL_EXPORTER_OTLP_HEADERS');
  }
  return url.href;
}

function placeOf(target: SinkTarget): string {
  switch (target.kind) {
    case 'stdout':
      return '';
    case 'file':
      return target.folder;
    case 'syslog':
      return target.transport === 'unix' ? target.path : `${target.transport} ${target.host} ${target.port}`;
    case 'journald':
      return target.path;
    case 'otlp':
      return target.url;
  }
}

function wrong(word: string): RangeError {
  return new RangeError(`${JSON.stringify(word)} is no sink; allowed are ${forms}`);
}
