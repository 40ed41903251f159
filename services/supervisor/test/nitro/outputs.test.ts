import assert from 'node:assert/strict';
import * as z from 'zod';
import { codes, reasons } from '../../src/backends/nitro/codes.ts';
import { failureOf } from '../../src/backends/nitro/failure.ts';
import {
  describedSchema,
  firstJson,
  parseOutput,
  startedSchema,
  terminatedSchema,
} from '../../src/backends/nitro/outputs.ts';
import vectors from '../vectors/nitro-cli-outputs.json' with { type: 'json' };

const link = 'For more details, please visit https://docs.aws.amazon.com/enclaves/latest/user/cli-errors.html';

describe('what nitro-cli prints', () => {
  it('is read as it is on record', () => {
    const { stdout } = vectors;
    const enclave = {
      EnclaveName: 'app',
      EnclaveID: 'i-0123456789abcdef0-enc18a1b2c3d4e5f60',
      ProcessID: 4242,
      EnclaveCID: 16,
      NumberOfCPUs: 2,
      CPUIDs: [1, 3],
      MemoryMiB: 512,
    };
    assert.deepEqual(parseOutput('run-enclave', stdout['run-enclave'], startedSchema), enclave);
    const described = parseOutput('describe-enclaves', stdout['describe-enclaves'], z.array(describedSchema));
    assert.equal(described[0]?.Flags, 'DEBUG_MODE');
    assert.match(described[0]?.Measurements?.PCR0 ?? '', /^a3582b/);
    const more = parseOutput('describe-enclaves', stdout['describe-enclaves-metadata'], z.array(describedSchema));
    assert.equal(more[0]?.EnclaveCID, 16);
    assert.deepEqual(parseOutput('describe-enclaves', stdout['describe-enclaves-none'], z.array(describedSchema)), []);
    assert.equal(parseOutput('terminate-enclave', stdout['terminate-enclave'], terminatedSchema).Terminated, true);
  });

  it('ends its JSON where console text begins', () => {
    const text = vectors.stdout['run-enclave-debug-attach-console'];
    assert.equal(parseOutput('run-enclave', text, startedSchema).EnclaveCID, 16);
    assert.equal(firstJson('words {"a": "}\\"{", "b": [1]} {"c"'), '{"a": "}\\"{", "b": [1]}');
    for (const sample of Object.values(vectors.stdout)) JSON.parse(firstJson(sample));
  });

  it('is refused when it is no JSON, or JSON of something else', () => {
    for (const text of ['', 'Segmentation fault', '{"EnclaveID": 4', '[]', '{"EnclaveID": "x"}']) {
      assert.throws(() => parseOutput('run-enclave', text, startedSchema), { code: 'NITRO_CLI_OUTPUT' });
    }
  });
});

describe('what nitro-cli says of a failure', () => {
  it('has one cause and one remedy for each code from E00 to E60', () => {
    assert.equal(codes.length, 61);
    for (const [number, { cause, remedy }] of codes.entries()) {
      const code = String(number).padStart(2, '0');
      const error = failureOf('run-enclave', number, `[ E${code} ] words of theirs\n\n${link}#E${code}\n`);
      assert.equal(error.code, `NITRO_E${code}`);
      assert.equal(error.remedy, remedy);
      assert.equal(error.message, `nitro-cli run-enclave: ${cause} (it said: words of theirs)`);
    }
    for (const { text, code } of vectors.error_samples) {
      assert.equal(failureOf('run-enclave', code, text).code, `NITRO_E${code}`);
    }
  });

  it('is told by the first code: the process of an enclave that did not start is gone for the second', () => {
    const log =
      'If you open a support ticket, please provide the error log found at "/var/log/nitro_enclaves/err1.log"';
    const stderr = `[ E26 ] Insufficient memory requested.\n\n${link}#E26\n\n${log}\nFailed connections: 1\n[ E39 ] Gone.\n\n${link}#E39\n`;
    const error = failureOf('run-enclave', 39, stderr);
    assert.equal(error.code, 'NITRO_E26');
    assert.match(error.message, /four times the size.*its log: \/var\/log\/nitro_enclaves\/err1\.log/);
    assert.equal(error.passing, false);
  });

  it('is told by the words of the driver where the code says nothing', () => {
    const backtrace = (words: string) =>
      `[ E29 ] Ioctl failure.\n\nBacktrace:\n  Action: Run Enclave\n  Subactions:\n    Add vCPU ioctl failed\n    ${words}\n  Root error file: src/x.rs\n`;
    const pairs = failureOf(
      'run-enclave',
      29,
      backtrace('The enclave cannot start because full CPU cores have not been set'),
    );
    assert.match(`${pairs.message} ${pairs.remedy}`, /two threads.*even number/);
    assert.equal(pairs.passing, false);
    const used = failureOf('run-enclave', 29, backtrace('The provided vCPU is already used'));
    assert.equal(used.passing, true);
    const port = failureOf(
      'run-enclave',
      36,
      '[ E36 ] Boot.\n  Subactions:\n    Enclave boot heartbeat vsock connection - vsock bind error\n',
    );
    assert.match(port.message, /another enclave of this parent is booting/);
    assert.equal(port.passing, true);
    assert.equal(new Set(reasons.map(({ name }) => name)).size, reasons.length);
  });

  it('keeps the code and the words of one that is newer than this table', () => {
    const error = failureOf('run-enclave', 77, '[ E77 ] Brand new.\n');
    assert.equal(error.code, 'NITRO_E77');
    assert.match(error.message, /Brand new/);
    assert.equal(failureOf('run-enclave', 101, "thread 'main' panicked").code, 'NITRO_E101');
  });
});
