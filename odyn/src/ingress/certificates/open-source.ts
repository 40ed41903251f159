import type { TlsCertificate } from '@enclaver/manifest';
import { FilesSource } from './files.ts';
import type { CertificateSource, SourceContext } from './source.ts';

/** The source that the manifest asks for. What only some sources need is loaded with them: memory in the enclave counts. */
export async function openSource(certificate: TlsCertificate, context: SourceContext): Promise<CertificateSource> {
  switch (certificate.source) {
    case 'files':
      return new FilesSource(certificate, context);
    case 'kms': {
      const { KmsSource } = await import('./kms.ts');
      return new KmsSource(certificate, context);
    }
    case 'attested': {
      const { AttestedSource } = await import('./attested.ts');
      return new AttestedSource(certificate, context);
    }
    case 'acme': {
      const { openAcmeSource } = await import('./acme.ts');
      return openAcmeSource(certificate, context);
    }
  }
}
