import { Relay, VsockError } from '../../src/index.ts';

try {
  new Relay();
} catch (error) {
  if (!(error instanceof VsockError)) throw error;
  process.stdout.write(JSON.stringify({ code: error.code, remedy: error.remedy }));
}
