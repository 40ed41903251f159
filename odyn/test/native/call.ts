/** One request of so many bytes through the addon, to whatever answers for the descriptor; what comes back on stdout. */
import { openSync } from 'node:fs';
import { addon } from '../../src/system/addon.ts';

const request = Buffer.alloc(Number(process.argv[2]), 0xa5);
const answer = await addon().nsmRequest(openSync('/dev/null', 'r+'), request);
console.log(typeof answer === 'number' ? answer : `${answer.length} ${answer.every((byte) => byte === 0xa5)}`);
