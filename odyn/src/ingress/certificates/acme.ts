import { createHash } from 'node:crypto';
import { AcmeKeeper } from '../../acme/keeper.ts';
import { OwnDialer } from '../../egress/own-dialer.ts';
import { OwnHttp } from '../../egress/own-http.ts';
import { requireNsm } from '../../nsm/open-nsm.ts';
import { Author } from '../../store/author.ts';
import { kmsSealingKeys } from '../../store/kms-keys.ts';
import { SealedValue } from '../../store/sealed-value.ts';
import { readAuthorities } from './files.ts';
import type { CertificateOf, CertificateSource, SourceContext } from './source.ts';

/** A key made here, with a certificate of an authority that is asked by ACME; both kept outside, sealed. Throws OdynError. */
export function openAcmeSource(certificate: CertificateOf<'acme'>, context: SourceContext): CertificateSource {
  const { manifest, transport, kms, nsm, root, port, log } = context;
  if (kms === undefined) throw new Error('a certificate by ACME is opened without KMS');
  const { domains, directory, contact, kmsKey, caFile } = certificate;
  const url = new URL(directory);
  const ca = caFile === undefined ? undefined : readAuthorities(root, port, caFile);
  const dialer = new OwnDialer(transport, [`${url.hostname}:${url.port === '' ? 443 : url.port}`]);
  const author = new Author(requireNsm(nsm, 'ingress.tls.certificates.acme'));
  const value = (kind: string, ...of: readonly string[]): SealedValue => {
    const name = `acme-${kind}-${createHash('sha256').update(of.join('\n')).digest('hex').slice(0, 40)}`;
    return new SealedValue(transport, kmsSealingKeys(kms, kmsKey, manifest.name, name), author, name);
  };
  return new AcmeKeeper({
    domains,
    directory,
    contact,
    http: new OwnHttp(dialer, { ca }),
    // One account for all certificates of a directory: what a CAA record names stays the same
    account: value('account', directory),
    state: value('state', directory, ...domains.toSorted()),
    log,
  });
}
