import { describeSignature, inspectEif } from '@enclaver/eif';
import { options } from '../arguments.ts';
import { Failure } from '../errors.ts';
import { measurementsOf, print } from '../output.ts';

export async function describeEif(args: readonly string[]): Promise<void> {
  const path = options(args, { values: ['eif-path'] })['eif-path'];
  if (path === undefined) throw new Failure(1, '`eif-path`');
  const eif = await inspectEif(path).catch((error: NodeJS.ErrnoException) => {
    const number = error.code?.startsWith('EIF_') === true ? 35 : 19;
    throw new Failure(number, `File: '${path}', failing operation: 'Open'.`, [error.message]);
  });
  const { metadata } = eif;
  const state = describeSignature(eif);
  const { BuildMetadata, DockerInfo, CustomMetadata } = metadata ?? {};
  print({
    EifVersion: eif.header.version,
    Measurements: measurementsOf(eif.measurements),
    IsSigned: eif.signed,
    ...(state?.verified === true
      ? {
          SigningCertificate: {
            IssuerName: { Subject: state.subject },
            Algorithm: state.algorithm,
            NotBefore: state.notBefore.toISOString(),
            NotAfter: state.notAfter.toISOString(),
          },
        }
      : {}),
    CheckCRC: eif.crcValid,
    ...(eif.signed ? { SignatureCheck: state?.verified === true && state.error === undefined } : {}),
    ...(metadata === undefined
      ? {}
      : {
          ImageName: metadata.ImageName,
          ImageVersion: metadata.ImageVersion,
          Metadata: { ...BuildMetadata, DockerInfo, ...(CustomMetadata as object | null) },
        }),
  });
}
