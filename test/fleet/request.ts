import { readFile } from 'node:fs/promises';
import { connect, type TlsOptions } from 'nats';

/** Sends a plain request to the hub as the fleet's reader, and writes what the server says: for what no command of ours sends. */
const [credentials = '', subject = ''] = process.argv.slice(2);

const { url, user, password, caPem } = JSON.parse(await readFile(credentials, 'utf8'));
const connection = await connect({
  servers: url,
  user,
  pass: password,
  inboxPrefix: `_INBOX_${user}`,
  tls: { ca: caPem, host: new URL(url).hostname } as TlsOptions,
});
const answer = await connection.request(subject, '{}', { timeout: 5_000 }).then(
  ({ data }) => Buffer.from(data).toString(),
  (error: { code: string }) => error.code,
);
process.stdout.write(answer);
await connection.close();
