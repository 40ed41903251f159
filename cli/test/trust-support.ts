import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { pemSigner, signatureSection, writeEif } from '@enclaver/eif';
import { smallImage } from '../../libs/eif/test/support.ts';
import { eifVectors, tempFolder } from './eif-support.ts';

const command = new URL('../bin/enclaver', import.meta.url).pathname;

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** A folder with `app.eif`, and a way to run the command in it. */
export interface Workplace extends AsyncDisposable {
  file(name: string): string;
  write(name: string, content: string | object): Promise<string>;
  /** Runs `enclaver` there. No bus answers it, and it may start no stack: what needs one fails. */
  enclaver(...args: string[]): Promise<Ended>;
  sh(script: string): Promise<Ended>;
}

export async function workplace(): Promise<Workplace> {
  const folder = await tempFolder();
  // A bus is named, so that a command that wants one neither finds a stack of this machine nor starts its own
  const env = {
    ...process.env,
    ENCLAVER_BUS: folder.file('no-bus.json'),
    PATH: `${command.slice(0, command.lastIndexOf('/'))}:${process.env.PATH}`,
  };
  const run = async (program: string, args: readonly string[]): Promise<Ended> => {
    const child = spawn(program, args, { cwd: folder.path, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code, stdout, stderr };
  };
  await writeApp(folder.file('app.eif'), 'app');
  return {
    file: folder.file,
    write: async (name, content) => {
      await writeFile(folder.file(name), typeof content === 'string' ? content : JSON.stringify(content));
      return folder.file(name);
    },
    enclaver: (...args) => run(command, args),
    sh: (script) => run('sh', ['-e', '-c', script]),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** A small image, signed on demand with a key of the vectors. */
export async function writeApp(path: string, app: string, signed = false): Promise<Record<string, string>> {
  const { measurements } = await writeEif(
    path,
    smallImage({
      ramdisks: [Buffer.from('init'), Buffer.from(app.padEnd(32))],
      ...(signed ? { sign: await signing() } : {}),
    }),
  );
  return { ...measurements };
}

async function signing(): Promise<(pcr0: Buffer) => Promise<Uint8Array>> {
  const cases = await eifVectors<{
    name: string;
    eif_b64: string;
    signed: null | { certificate_pem: string; private_key_pkcs8_pem: string };
  }>('eif-valid');
  const keys = cases.find(({ name }) => name === 'signed-p384')?.signed;
  if (keys === null || keys === undefined) throw new Error('no such vector');
  const signer = pemSigner(Buffer.from(keys.private_key_pkcs8_pem));
  return (pcr0) => signatureSection(pcr0, { certificatePem: Buffer.from(keys.certificate_pem), signer });
}
