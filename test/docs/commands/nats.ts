import { parseArgs } from 'node:util';

/** A command of `nats`, as far as our documents use it. */
export interface NatsCall {
  /** `micro ls` */
  readonly command: string;
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
}

interface Shape {
  readonly args: number;
  readonly options: Readonly<Record<string, { type: 'string' | 'boolean' }>>;
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

/** As https://github.com/nats-io/natscli has them (`cli/{context,sub,micro,kv,stream}_command.go`): there is no package of it in Debian. */
const shapes: Readonly<Record<string, Shape>> = {
  'context save': {
    args: 1,
    options: { server: text, user: text, password: text, 'inbox-prefix': text, select: flag },
  },
  sub: { args: 1, options: {} },
  'micro ls': { args: 0, options: {} },
  'micro info': { args: 1, options: {} },
  'micro stats': { args: 1, options: {} },
  'kv get': { args: 2, options: { raw: flag } },
  'stream info': { args: 1, options: {} },
  'stream get': { args: 1, options: { 'last-for': text } },
};

/** Throws for a command, an option or a number of arguments that is not listed above. */
export function natsCall(words: readonly string[]): NatsCall {
  const command = [2, 1].map((count) => words.slice(0, count).join(' ')).find((each) => Object.hasOwn(shapes, each));
  const shape = shapes[command ?? ''];
  if (command === undefined || shape === undefined) throw new Error(`not a command of nats: ${words.join(' ')}`);
  const { values, positionals } = parseArgs({
    args: words.slice(command.split(' ').length),
    options: shape.options,
    allowPositionals: true,
  });
  if (positionals.length !== shape.args) throw new Error(`nats ${command} takes ${shape.args} arguments`);
  return { command, args: positionals, options: { ...values } as NatsCall['options'] };
}
