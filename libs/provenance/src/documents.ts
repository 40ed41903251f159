import { readEif } from '@enclaver/eif';
import { pcrPredicate } from './pcrs.ts';
import { type BuildFacts, slsaPredicate } from './slsa.ts';
import { eifSubject, type Statement, type Subject, statement } from './statement.ts';
import { PCRS_TYPE, PROVENANCE_TYPE, SBOM_TYPE } from './uris.ts';

/** What is said about one EIF, without the image that it is in. */
export interface EnclaveDocuments {
  /** Of the EIF, 64 hexadecimal digits. */
  eifSha256: string;
  /** Predicates. */
  pcrs: object;
  provenance?: object;
  /** CycloneDX. */
  sbom?: object;
}

export interface DescribeOptions {
  /** Path of the EIF. */
  eif: string;
  eifSha256: string;
  /** Makes the provenance. */
  facts?: BuildFacts;
  /** Make the SBOM. */
  sbom?: boolean;
}

/**
 * Computes from an EIF's bytes what is to be attached to it. The CycloneDX library, four times as many modules as the rest, is
 * loaded only where an SBOM is made: every command would wait for it. Throws EifError.
 */
export async function describeEnclave({ eif, eifSha256, facts, sbom }: DescribeOptions): Promise<EnclaveDocuments> {
  const read = await readEif(eif);
  return {
    eifSha256,
    pcrs: pcrPredicate(read.measurements),
    ...(facts === undefined ? {} : { provenance: await slsaPredicate(read, facts) }),
    ...(sbom === true ? { sbom: await (await import('./sbom/sbom.ts')).sbomOf(read, eifSha256) } : {}),
  };
}

/** The documents as statements, about the EIF and, where it is given, the image that has it inside. */
export function statementsOf(
  documents: EnclaveDocuments,
  image?: Subject,
): { pcrs: Statement; provenance?: Statement; sbom?: Statement } {
  const { eifSha256, pcrs, provenance, sbom } = documents;
  const subjects = [...(image === undefined ? [] : [image]), eifSubject(eifSha256)];
  return {
    pcrs: statement(subjects, PCRS_TYPE, pcrs),
    ...(provenance === undefined ? {} : { provenance: statement(subjects, PROVENANCE_TYPE, provenance) }),
    ...(sbom === undefined ? {} : { sbom: statement(subjects, SBOM_TYPE, sbom) }),
  };
}
