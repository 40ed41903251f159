import { type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { type Extension, KeyUsageFlags, type Name } from '@peculiar/asn1-x509';
import {
  type Authority,
  authorityConstraints,
  issueCertificate,
  issuerKey,
  keyIdOf,
  keyUsage,
  leafConstraints,
  makeKeyPair,
  name,
  revocationList,
  subjectKey,
} from './certificate.ts';
import type { DevelopmentRoot } from './development-root.ts';
import {
  CA_LEAD_MS,
  INSTANCE_LIFE_MS,
  LEAF_LEAD_MS,
  LEAF_LIFE_MS,
  LEAF_USE_MS,
  REGIONAL_LIFE_MS,
  ZONAL_LIFE_MS,
} from './limits.ts';

/** Whose documents a chain is for. */
export interface ModuleIdentity {
  moduleId: string;
  instanceId: string;
  region: string;
}

const CERT_SIGN = keyUsage(KeyUsageFlags.keyCertSign, true);
const CA_USAGE = keyUsage(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true);
const LEAF_USAGE = keyUsage(KeyUsageFlags.digitalSignature | KeyUsageFlags.nonRepudiation, false);

/**
 * The certificates of one NSM, in the levels, lives and extensions of AWS's (seen in real documents): root, region, zone,
 * instance, leaf. The last part of each name has the form of AWS's as well; the organisation says that it is not.
 */
export class CertificateChain {
  /** DER, root first, issuer of the leaf last. */
  readonly cabundle: readonly Uint8Array[];
  /** DER of the leaf. */
  readonly certificate: Uint8Array;
  /** Of the leaf. */
  readonly privateKey: KeyObject;
  readonly #madeMs: number;

  constructor(root: DevelopmentRoot, { moduleId, instanceId, region }: ModuleIdentity, now: Date) {
    this.#madeMs = now.getTime();
    const regional = this.#authority(root.authority(), {
      subject: subject(`${hexId()}.${region}.aws.nitro-enclaves`),
      validMs: [-CA_LEAD_MS, REGIONAL_LIFE_MS],
      extensions: (own, issuers) => [authorityConstraints(2), issuers, own, CA_USAGE, listOf(region)],
    });
    const zonal = this.#authority(regional.authority, {
      subject: subject(`${hexId()}.zonal.${region}.aws.nitro-enclaves`),
      validMs: [-CA_LEAD_MS, ZONAL_LIFE_MS],
      extensions: (own, issuers) => [authorityConstraints(1), issuers, own, CA_USAGE, listOf(region)],
    });
    const instance = this.#authority(zonal.authority, {
      subject: subject(`${instanceId}.${region}.aws.nitro-enclaves`),
      validMs: [-LEAF_LEAD_MS, INSTANCE_LIFE_MS],
      extensions: (own, issuers) => [authorityConstraints(0), CERT_SIGN, own, issuers],
    });
    const leaf = makeKeyPair();
    this.privateKey = leaf.privateKey;
    this.certificate = issueCertificate(
      {
        subject: subject(`${moduleId}.${region}.aws`),
        publicKey: leaf.publicKey,
        ...this.#validity(-LEAF_LEAD_MS, LEAF_LIFE_MS),
        extensions: [leafConstraints(), LEAF_USAGE],
      },
      instance.authority,
    );
    this.cabundle = [root.certificate, regional.certificate, zonal.certificate, instance.certificate];
  }

  /** Whether a document that is made now should still be signed with this leaf. */
  serves(now: Date): boolean {
    const ageMs = now.getTime() - this.#madeMs;
    return ageMs >= 0 && ageMs < LEAF_USE_MS;
  }

  #validity(fromMs: number, untilMs: number): { notBefore: Date; notAfter: Date } {
    return { notBefore: new Date(this.#madeMs + fromMs), notAfter: new Date(this.#madeMs + untilMs) };
  }

  #authority(
    issuer: Authority,
    content: {
      subject: Name;
      validMs: readonly [number, number];
      /** From the identifiers of the two keys. */
      extensions: (own: Extension, issuers: Extension) => Extension[];
    },
  ): { authority: Authority; certificate: Buffer } {
    const { publicKey, privateKey } = makeKeyPair();
    const keyId = keyIdOf(publicKey);
    const certificate = issueCertificate(
      {
        subject: content.subject,
        publicKey,
        ...this.#validity(...content.validMs),
        extensions: content.extensions(subjectKey(keyId), issuerKey(issuer.keyId)),
      },
      issuer,
    );
    return { authority: { name: content.subject, privateKey, keyId }, certificate };
  }
}

function subject(commonName: string): Name {
  return name([
    ['O', 'Enclaver DEVELOPMENT, not AWS'],
    ['OU', 'NSM simulator'],
    ['CN', commonName],
  ]);
}

function hexId(): string {
  return randomBytes(8).toString('hex');
}

/** AWS names a list of revoked certificates in these two levels. A name under `.invalid` can never be one (RFC 6761). */
function listOf(region: string): Extension {
  return revocationList(`http://crl-${region}.simulator.invalid/crl/${randomUUID()}.crl`);
}
