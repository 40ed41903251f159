// A leak on purpose, small enough that a rule for three minutes has to be good: 200 KiB of memory a second, a descriptor every three.
import { openSync } from 'node:fs';

const kept: Buffer[] = [];
setInterval(() => kept.push(Buffer.alloc(200 * 1024, 1)), 1_000);
setInterval(() => openSync('/dev/null', 'r'), 3_000);
// Beside what it leaks it is as large as a service
kept.push(Buffer.alloc(40 * 1024 ** 2, 1));
process.stdout.write('ready\n');
