import assert from 'node:assert/strict';
import { parseManifest } from '../src/index.ts';
import { minimal, problemsOf } from './support.ts';

describe('certificates of a port', () => {
  it('have one source each, in the order of the file', () => {
    const manifest = parseManifest(
      minimal(`ingress:
  - listen_port: 443
    tls:
      certificates:
        - files: { key_file: /k, cert_file: /c }
        - kms:
            key: https://certificates.example:8443/key.sealed
            cert: /srv/cert.pem
            kms_key: arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/tls
            encryption_context: { app: payments }
        - attested: { names: [a.example] }
        - acme:
            domains: [b.example]
            terms_of_service_agreed: true
            kms_key: arn:aws:kms:eu-west-1:111122223333:key/mrk-0
`),
    );
    assert.deepEqual(manifest.ingress[0]?.tls?.certificates, [
      { source: 'files', keyFiles: ['/k'], certFiles: ['/c'] },
      {
        source: 'kms',
        key: 'https://certificates.example:8443/key.sealed',
        cert: '/srv/cert.pem',
        kmsKey: 'arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/tls',
        encryptionContext: { app: 'payments' },
      },
      { source: 'attested', names: ['a.example'] },
      {
        source: 'acme',
        domains: ['b.example'],
        kmsKey: 'arn:aws:kms:eu-west-1:111122223333:key/mrk-0',
        directory: 'https://acme-v02.api.letsencrypt.org/directory',
        contact: [],
      },
    ]);
  });

  it('by ACME need the consent to the terms, an authority by https, and names without wildcards', () => {
    const problems = (acme: string) =>
      problemsOf(minimal(`ingress: [{ listen_port: 443, tls: { certificates: [{ acme: { ${acme} } }] } }]`)).map(
        ({ path }) => path.replace('ingress[0].tls.certificates[0].acme.', ''),
      );
    const key = 'kms_key: "arn:aws:kms:eu-west-1:111122223333:key/mrk-0"';
    assert.deepEqual(problems(`domains: [a.example], ${key}`), ['terms_of_service_agreed']);
    assert.deepEqual(problems(`domains: ["*.example"], ${key}, terms_of_service_agreed: false`), [
      'domains[0]',
      'terms_of_service_agreed',
    ]);
    assert.deepEqual(problems(`domains: [a], ${key}, terms_of_service_agreed: true, directory: "http://a/dir"`), [
      'directory',
    ]);
  });
});
