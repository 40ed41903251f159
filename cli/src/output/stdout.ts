/** Exit code of a program whose reader went away: 128 and SIGPIPE, as a shell reports it. */
const READER_GONE = 141;

/** Ends the process, without a word, once nobody reads what it writes: `enclaver … | head -1`. */
export function endWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      process.exit(READER_GONE);
    });
  }
}

/** Writes a part of a result and waits until there is room for the next. */
export async function writeStdout(part: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => {
    if (process.stdout.write(part)) resolve();
    else process.stdout.once('drain', resolve);
  });
}
