// The log path of odyn around one app, on the host: `node inside.ts PATH COMMAND...`. PATH is the Unix socket of the stand-in for
// the vsock. Says "ready", and starts COMMAND when a line comes on stdin. Its outputs are pipes, as in an enclave.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unixTransport, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import { closeWriters, openOutputFifos } from '../../odyn/src/launcher/output-fifos.ts';
import { limits } from '../../odyn/src/limits.ts';
import { BackPressure } from '../../odyn/src/logs/back-pressure.ts';
import { LogRing } from '../../odyn/src/logs/log-ring.ts';
import { LogServer } from '../../odyn/src/logs/log-server.ts';
import { OdynLog } from '../../odyn/src/logs/odyn-log.ts';
import { OutputPipe } from '../../odyn/src/logs/output-pipe.ts';

const [path = '', command = '', ...args] = process.argv.slice(2);

/** Takes the CONNECT line of the log-relay itself, where a vsock device would. */
const transport: VsockTransport = {
  ...unixTransport({ path }),
  listen: async (_, onStream) => {
    const server = createServer((socket: Socket) => {
      socket.once('data', (line: Buffer) => {
        socket.pause();
        socket.write('OK 1\n');
        const rest = line.subarray(line.indexOf('\n') + 1);
        if (rest.length > 0) socket.unshift(rest);
        onStream(socket as unknown as VsockStream);
        socket.resume();
      });
    }).listen(path);
    await once(server, 'listening');
    return { descriptor: -1, acceptErrors: 0, close: async () => void server.close() };
  },
};

const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
for (const name of ['app.stdout', 'app.stderr']) execFileSync('mkfifo', [join(folder, name)]);
const ring = new LogRing(limits.logRingBytes);
const log = new OdynLog(ring);
const backPressure = new BackPressure();
const server = await LogServer.listen(transport, ring, log, backPressure);
const fifos = openOutputFifos(folder);
const pipes = (['stdout', 'stderr'] as const).map(
  (stream) => new OutputPipe(fifos.readers[stream], stream, ring, backPressure, log),
);
process.stdout.write('ready\n');
await once(process.stdin, 'data');
const { stdout, stderr } = fifos.writers;
const app = spawn(command, args, { stdio: ['ignore', stdout, stderr] });
closeWriters(fifos);
await once(app, 'exit');
await Promise.all(pipes.map((pipe) => pipe.drain(limits.outputDrainMs)));
ring.end();
await server.finished;
process.exit();
