import { Contrib, Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library';
import { PackageURL } from 'packageurl-js';
import { type Findings, type Package, showPath } from './findings.ts';
import type { LooseFiles } from './loose-files.ts';

export interface BomContent {
  eifSha256: string;
  serialNumber: string;
  findings: Findings;
  loose: LooseFiles;
}

/** The distribution in the package URL of a package, where the system does not name itself. */
const DEFAULT_OS: Partial<Record<Package['type'], string>> = { deb: 'debian', apk: 'alpine' };

const licenses = new Contrib.License.Factories.LicenseFactory(() => undefined);

/** CycloneDX 1.6 as JSON: the same content gives the same text; no times. */
export function bomJson({ eifSha256, serialNumber, findings, loose }: BomContent): object {
  const { Component, Bom, Metadata, Property } = Models;
  const { ComponentType } = Enums;
  const bom = new Bom({ serialNumber });
  const enclave = new Component(ComponentType.Application, 'application.eif', {
    bomRef: `application.eif@sha256:${eifSha256}`,
    hashes: new Models.HashDictionary([[Enums.HashAlgorithm['SHA-256'], eifSha256]]),
  });
  const note = (name: string, value: string | number): void => {
    enclave.properties.add(new Property(`enclaver:sbom:${name}`, String(value)));
  };
  note('files', loose.files);
  note('files-without-package', loose.without);
  note('files-not-listed', loose.without - loose.listed.length);
  note('packages-not-listed', findings.unlisted);
  bom.metadata = new Metadata({ component: enclave });
  bom.metadata.tools.components.add(new Component(ComponentType.Application, 'enclaver', { bomRef: 'enclaver' }));
  const { os } = findings;
  if (os !== undefined) {
    const version = os.version === undefined ? {} : { version: os.version };
    bom.components.add(
      new Component(ComponentType.OperatingSystem, os.id, { ...version, description: os.name, bomRef: `os:${os.id}` }),
    );
  }
  const known = new Set<string>();
  for (const found of findings.packages) {
    const component = packageComponent(found, findings);
    const ref = component?.bomRef.value;
    if (component === undefined || ref === undefined || known.has(ref)) continue;
    known.add(ref);
    bom.components.add(component);
  }
  for (const { path, sha256 } of loose.listed) {
    const hashes = new Models.HashDictionary([[Enums.HashAlgorithm['SHA-256'], sha256]]);
    bom.components.add(new Component(ComponentType.File, path, { bomRef: `file:${path}`, hashes }));
  }
  for (const text of findings.notes) note('note', text);
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
  return JSON.parse(serializer.serialize(bom, { sortLists: true })) as object;
}

function packageComponent(found: Package, findings: Findings): Models.Component | undefined {
  const namespace =
    DEFAULT_OS[found.type] === undefined ? found.namespace : (findings.os?.id ?? DEFAULT_OS[found.type]);
  let purl: string;
  try {
    purl = new PackageURL(found.type, namespace, found.name, found.version, found.qualifiers, undefined).toString();
  } catch (error) {
    findings.note(`${showPath(found.path)}: ${(error as Error).message}`);
    return undefined;
  }
  const path = showPath(found.path);
  const component = new Models.Component(Enums.ComponentType.Library, found.name, {
    version: found.version,
    purl,
    bomRef: `${purl}#${path}`,
    properties: new Models.PropertyRepository([new Models.Property('enclaver:path', path)]),
  });
  if (found.type === 'npm' && found.namespace !== undefined) component.group = found.namespace;
  if (found.type === 'golang') component.name = [found.namespace, found.name].filter(Boolean).join('/');
  if (found.license !== undefined) component.licenses.add(licenses.makeDisjunctive(found.license));
  return component;
}
