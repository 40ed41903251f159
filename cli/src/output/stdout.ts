/** Exit code of a program whose reader went away: 128 and SIGPIPE, as a shell reports it. */
const READER_GONE = 141;

let watched = false;

/** Writes a part of a result and waits until there is room for the next. Ends the process once nobody reads. */
export async function writeStdout(part: string | Uint8Array): Promise<void> {
  if (!watched) {
    watched = true;
    process.stdout.on('error', endWithoutReader);
  }
  await new Promise<void>((resolve) => {
    if (process.stdout.write(part)) resolve();
    else process.stdout.once('drain', resolve);
  });
}

function endWithoutReader(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit(READER_GONE);
}
