import * as z from 'zod';

/** OTLP/JSON of logs, strictly (opentelemetry-proto 1.x: logs.proto, common.proto, resource.proto; 64-bit numbers are strings). */
const decimal = z.string().regex(/^\d{1,20}$/);
const value = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ boolValue: z.boolean() }),
  z.strictObject({ intValue: decimal }),
  z.strictObject({ bytesValue: z.base64() }),
]);
const attributes = z
  .array(z.strictObject({ key: z.string().min(1), value }))
  .transform((pairs) => Object.fromEntries(pairs.map((pair) => [pair.key, Object.values(pair.value)[0]])));
const record = z.strictObject({
  timeUnixNano: decimal,
  observedTimeUnixNano: decimal,
  severityNumber: z.number().int().min(1).max(24).optional(),
  severityText: z.string().optional(),
  body: value,
  attributes,
});
const request = z.strictObject({
  resourceLogs: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes }),
      scopeLogs: z.array(
        z.strictObject({ scope: z.strictObject({ name: z.string() }), logRecords: z.array(record).min(1) }),
      ),
    }),
  ),
});

export function parseLogsRequest(text: string) {
  return request.parse(JSON.parse(text)).resourceLogs.map(({ resource, scopeLogs }) => ({
    resource: resource.attributes,
    records: scopeLogs.flatMap(({ logRecords }) => logRecords),
  }));
}
