import assert from 'node:assert/strict';
import { ManifestError, parseManifest } from '@enclaver/manifest';
import { readOrRefuse } from '../target.ts';

export const seeds = [
  'version: v1\nname: app\ntarget: app:enclave\nsources:\n  app: app:latest\ningress:\n  - listen_port: 8443\n    tls:\n      key_file: key.pem\n      cert_file: cert.pem\negress:\n  allow: [host, "*.example.com:443", 10.0.0.0/8]\n  deny: [evil.com]\n  proxy_port: 9000\ndefaults: {cpu_count: 2, memory_mb: 4096}\n',
  'version: v1\nname: "a"\ntarget: t\nsources: &s {app: "oci:/x:y"}\nkms_proxy: {listen_port: 9999, endpoints: {eu-west-1: kms.example}}\napi: {listen_port: 8080}\nlimits: {memory_mb: 64, processes: 10}\nhealth_check: {http: {port: 80, path: /}}\n',
  'version: v1\nname: x\ntarget: y\nsources:\n  app: z\ningress:\n  - listen_port: 443\n    proxy_protocol: true\n    clients: {allow: [10.0.0.0/8], max_connections: 10}\n    tls: {acme: {domains: [a.example], email: a@b.c}}\nenv: {A: "1"}\n',
];

/** A manifest has problems with a place each, or one meaning, which its JSON has as well. */
export function fuzz(input: Buffer): void {
  const manifest = readOrRefuse(() => {
    try {
      return parseManifest(input);
    } catch (error) {
      if (error instanceof ManifestError)
        assert.ok(error.problems.every(({ line, column }) => line >= 1 && column >= 1));
      throw error;
    }
  }, ManifestError);
  if (manifest !== undefined) assert.deepEqual(parseManifest(input), manifest);
}
