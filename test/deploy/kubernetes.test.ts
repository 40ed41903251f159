import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parse, parseAllDocuments } from 'yaml';
import { type Manifest, problemsOf } from './manifests.ts';

const root = resolve(import.meta.dirname, '../../deploy/kubernetes');

interface Kustomization {
  apiVersion: string;
  kind: string;
  namespace: string;
  resources: string[];
  images: { name: string; newName?: string; newTag?: string }[];
}

interface Container {
  name: string;
  image: string;
  securityContext: { seccompProfile?: { type: string } };
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  volumeMounts: { name: string }[];
  env?: { name: string; value: string }[];
}

interface Pod {
  metadata: { labels: Record<string, string> };
  spec: { affinity: object; initContainers?: Container[]; containers: Container[]; volumes: { name: string }[] };
}

/** What `kubectl apply -k` would send. */
async function rendered(folder: string): Promise<Manifest[]> {
  const { stdout } = await promisify(execFile)('kubectl', ['kustomize', join(root, folder)]);
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
}

const read = async (...path: string[]) => parse(await readFile(join(root, ...path), 'utf8'), { strict: true });

for (const folder of ['app', 'node']) {
  describe(`deploy/kubernetes/${folder}`, function () {
    this.timeout(120_000);

    let kustomization: Kustomization;
    let manifests: Manifest[];
    let containers: Container[];
    let volumes: string[];
    let pod: Pod;

    before(async () => {
      kustomization = await read(folder, 'kustomization.yaml');
      manifests = await rendered(folder);
      const deployment = manifests.find(({ kind }) => kind === 'Deployment');
      pod = (deployment as unknown as { spec: { template: Pod } }).spec.template;
      containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
      volumes = pod.spec.volumes.map(({ name }) => name);
    });

    it('has what the API of Kubernetes has, and nothing else', async () => {
      assert.deepEqual(await problemsOf(manifests), []);
    });

    it('lists its files, and the images that it uses', async () => {
      const files = (await readdir(join(root, folder))).filter((name) => name !== 'kustomization.yaml');
      assert.deepEqual([...kustomization.resources].sort(), files.sort());
      const { images, resources, namespace, apiVersion, kind, ...others } = kustomization;
      assert.deepEqual(others, {});
      assert.deepEqual([apiVersion, kind], ['kustomize.config.k8s.io/v1beta1', 'Kustomization']);
      assert.deepEqual(
        [...new Set(containers.map(({ image }) => image))].sort(),
        images.map(({ name, newName = name, newTag }) => `${newName}:${newTag}`).sort(),
      );
      assert.equal(manifests.length, files.length);
      for (const { kind, metadata } of manifests)
        assert.equal(kind === 'Namespace' ? metadata.name : metadata.namespace, namespace, kind);
    });

    it('has at most one on a node, with those of the other folder: a node has each vsock port once', () => {
      const label = { 'app.kubernetes.io/part-of': 'enclaver' };
      const term = {
        topologyKey: 'kubernetes.io/hostname',
        namespaceSelector: {},
        labelSelector: { matchLabels: label },
      };
      assert.deepEqual(pod.spec.affinity, {
        podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] },
      });
      assert.equal(pod.metadata.labels['app.kubernetes.io/part-of'], 'enclaver');
    });

    it('gives the device and its huge pages to one container, as many as are asked for', () => {
      const device = 'aws.ec2.nitro/nitro_enclaves';
      const holders = containers.filter(({ resources }) => device in resources.limits);
      assert.equal(holders.length, 1);
      for (const resource of [device, 'hugepages-2Mi']) {
        assert.equal(holders[0]?.resources.requests[resource], holders[0]?.resources.limits[resource]);
      }
    });

    it('lets no container more than it needs', () => {
      for (const { name, securityContext, volumeMounts } of containers) {
        const { seccompProfile, ...rest } = securityContext;
        assert.deepEqual(
          rest,
          { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
          name,
        );
        if (seccompProfile !== undefined) assert.equal(seccompProfile.type, 'Localhost');
        for (const mount of volumeMounts) assert.ok(volumes.includes(mount.name), `${name} mounts ${mount.name}`);
      }
    });
  });
}

describe('the check of manifests', function () {
  this.timeout(120_000);

  const object = (spec: object): Manifest[] => [
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' }, spec },
  ];
  const labels = { app: 'x' };
  const template = (container: object) => ({
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [container] } },
  });

  it('finds what is missing, of another type and unknown', async () => {
    assert.deepEqual(await problemsOf(object(template({ name: 'one', image: 'image' }))), []);
    assert.notDeepEqual(await problemsOf(object(template({ image: 'image' }))), []);
    assert.notDeepEqual(await problemsOf(object(template({ name: 'one', ports: [{ containerPort: 'http' }] }))), []);
    const [unknown, ...none] = await problemsOf(object(template({ name: 'one', readinesProbe: {} })));
    assert.match(unknown ?? '', /readinesProbe/);
    assert.deepEqual(none, []);
  });
});
