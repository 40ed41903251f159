import { type Command, forEachChild, parse, type SyntaxNode, type Word } from 'unbash';

/** One command as a shell would start it: its program and arguments, with quotes gone and braces expanded. */
export interface Call {
  readonly program: string;
  readonly args: readonly string[];
  /** What a `$…` stands for is not known: such a word is as it is written. */
  readonly text: string;
}

/** Every command of a script, those within pipes, lists and `$(…)` too, in the order in which they stand there. */
export function callsIn(script: string): Call[] {
  const calls: Call[] = [];
  const visit = (node: SyntaxNode): void => {
    if (node.type === 'Script' && (node.errors?.length ?? 0) > 0)
      throw new Error(`not a script of a shell: ${JSON.stringify(node.errors)}\n${script}`);
    if (node.type === 'Function') throw new Error(`a function hides commands: ${script}`);
    if (node.type === 'Command' && node.name !== undefined) calls.push(...callsOf(node, script));
    forEachChild(node, visit);
  };
  visit(parse(script));
  return calls;
}

function callsOf(command: Command, script: string): Call[] {
  const words = [command.name, ...command.args].flatMap((word) =>
    word === undefined ? [] : word.type === 'Word' ? expandBraces(word) : [word.text],
  );
  const [program = '', ...args] = unwrapped(words);
  if (['bash', 'sh'].includes(program) && args[0] === '-c' && args[1] !== undefined) return callsIn(args[1]);
  return [{ program, args, text: script.slice(command.pos, command.end) }];
}

/** `a{b,c}` is two words. None of our documents has one within another. */
function expandBraces(word: Word): string[] {
  let words = [''];
  if (!word.parts?.some(({ type }) => type === 'BraceExpansion')) return [word.value];
  for (const part of word.parts) {
    const texts = part.type === 'BraceExpansion' ? part.text.slice(1, -1).split(',') : [part.text];
    words = words.flatMap((before) => texts.map((text) => before + text));
  }
  return words;
}

/** Without what only starts another program: `sudo -E env A=b program`. */
function unwrapped(words: readonly string[]): readonly string[] {
  const [first = '', ...rest] = words;
  if (/^\w+=/.test(first)) return unwrapped(rest);
  if (!['sudo', 'env', 'exec', 'npx', 'unshare'].includes(first)) return words;
  while (rest[0]?.startsWith('-') === true) rest.shift();
  return unwrapped(rest);
}
