import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import { connect } from 'nats';
import { generated } from '../scripts/generated.ts';
import { Bus } from '../src/index.ts';
import { publishLines } from './log-lines.ts';
import { NatsProcess } from './nats-process.ts';
import { record } from './record.ts';

const specification = new URL(import.meta.resolve('@asyncapi/specs/schemas/3.0.0.json'));
const read = async (file: URL): Promise<string> => await readFile(file, 'utf8');

interface Document {
  channels: Record<string, { address: string | null; messages: Record<string, { $ref: string }> }>;
}

describe('the documents of the bus', () => {
  let document: Document;

  before(async () => {
    document = JSON.parse(await read(new URL('../../../docs/asyncapi.json', import.meta.url)));
  });

  it('are what the schemas make (else: node libs/bus/scripts/generate.ts)', async () => {
    for (const { file, make } of generated) {
      const text = await read(file);
      assert.equal(text, make(text), file.pathname);
    }
  });

  it('are AsyncAPI 3.0, and every reference in it leads somewhere', async () => {
    const ajv = new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false });
    formats.default(ajv);
    const validate = ajv.compile(JSON.parse(await read(specification)));
    assert.ok(validate(document), JSON.stringify(validate.errors?.slice(0, 5), null, 2));
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path = '']) => path);
    assert.ok(references.length > 100);
    for (const path of new Set(references)) {
      let at: unknown = document;
      for (const key of path.split('/')) at = (at as Record<string, unknown> | undefined)?.[key];
      assert.ok(at !== undefined, path);
    }
  });

  it('say what is really on the bus', async () => {
    await using nats = await NatsProcess.start();
    await using bus = await Bus.connect({ source: 'supervisor', credentials: nats.credentials });
    const { url, user = '', password = '' } = nats.credentials;
    const plain = await connect({ servers: url, user, pass: password });
    const seen: { subject: string; json: unknown }[] = [];
    const enough = Promise.withResolvers<void>();
    plain.subscribe('enclaver.v1.>', {
      callback: (_, message) => {
        if (seen.push({ subject: message.subject, json: message.json() }) === 5) enough.resolve();
      },
    });
    await plain.flush();
    await bus.publishEvent(record.id, 'requested', { enclave: record });
    await bus.publishEvent(record.id, 'egress-ready', { ingress: record.ingress });
    await publishLines(bus, record.id, 'stdout', [{ sequence: 0, time: new Date().toISOString(), text: 'x' }]);
    bus.publishBuildProgress('b', { stage: 'pull', done: 1 });
    bus.warnings.raise({ code: 'TRIED', severity: 'info', message: 'x' });
    await enough.promise;
    await plain.close();

    const ajv = new Ajv({ strict: false });
    formats.default(ajv);
    ajv.addSchema({ $id: 'urn:bus:document', ...document });
    for (const { subject, json } of seen) {
      const channel = Object.values(document.channels).find(({ address }) => {
        const pattern = address?.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^.]+');
        return pattern !== undefined && new RegExp(`^${pattern}$`).test(subject);
      });
      const [message] = Object.values(channel?.messages ?? {});
      const payload = { $ref: `urn:bus:document${message?.$ref}/payload` };
      assert.ok(ajv.validate(payload, json), `${subject}: ${ajv.errorsText()}`);
      assert.ok(!ajv.validate(payload, { ...(json as object), data: 1 }), subject);
    }
  });
});
