import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { describeEnclave } from '@enclaver/provenance';
import fc from 'fast-check';
import { enclave, type Tree } from './enclave.ts';

interface Component {
  type: string;
  name: string;
  version?: string;
  purl?: string;
  'bom-ref': string;
  hashes?: { alg: string; content: string }[];
  licenses?: { license: { id?: string; name?: string } }[];
  properties?: { name: string; value: string }[];
}

interface Bom {
  serialNumber: string;
  specVersion: string;
  metadata: { timestamp?: string; component: Component };
  components: Component[];
}

const DPKG_STATUS = `Package: libc6
Status: install ok installed
Priority: optional
Source: glibc
Version: 2.36-9+deb12u10
Architecture: amd64
Description: GNU C Library
 with a second line
Maintainer: somebody

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: all

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2025b-0+deb12u1
`;

const OS_RELEASE =
  'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n';

const APK = `P:musl
V:1.2.5-r0
A:x86_64
L:MIT
F:lib
R:ld-musl-x86_64.so.1

P:busybox
V:1.36.1-r29
A:x86_64
L:GPL-2.0-only
F:bin
R:busybox
`;

/** A part of a Go program as the linker lays it out: the magic at a multiple of 16, then version and modules. */
function goProgram(modules: string): Buffer {
  const varString = (text: Buffer): Buffer => {
    const length: number[] = [];
    for (let rest = text.length; ; rest >>>= 7) {
      length.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80);
      if (rest < 0x80) break;
    }
    return Buffer.concat([Buffer.from(length), text]);
  };
  const head = Buffer.concat([Buffer.from('\xff Go buildinf:', 'latin1'), Buffer.from([8, 2]), Buffer.alloc(16)]);
  const mark = Buffer.alloc(16, 0x30);
  return Buffer.concat([
    Buffer.from('\x7fELF'),
    Buffer.alloc(3 * 2 ** 20 - 28),
    // The same words where the linker would never put them: not at a multiple of 16
    Buffer.from('\xff Go buildinf:', 'latin1'),
    Buffer.alloc(10),
    head,
    varString(Buffer.from('go1.24.4')),
    varString(Buffer.concat([mark, Buffer.from(modules), mark])),
    Buffer.alloc(1000),
  ]);
}

describe('SBOM', () => {
  let folder: string;
  let count = 0;
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sbom-'));
  });
  after(() => rm(folder, { recursive: true }));

  async function sbomOf(tree: Tree): Promise<Bom> {
    count += 1;
    const { eif, eifSha256 } = await enclave(join(folder, `${count}.eif`), tree);
    const { sbom } = await describeEnclave({ eif, eifSha256, sbom: true });
    const bom = sbom as Bom;
    assert.equal(await validator.validate(JSON.stringify(bom)), null, 'valid by the schema of CycloneDX');
    return bom;
  }

  const purls = (bom: Bom): string[] => bom.components.flatMap(({ purl }) => purl ?? []).sort();
  const fileNames = (bom: Bom): string[] =>
    bom.components.filter(({ type }) => type === 'file').map(({ name }) => name);
  const properties = (bom: Bom, name: string): string[] =>
    (bom.metadata.component.properties ?? [])
      .filter((each) => each.name === `enclaver:sbom:${name}`)
      .map(({ value }) => value);

  it("lists Debian's installed packages, and the system", async () => {
    const bom = await sbomOf({ 'etc/os-release': OS_RELEASE, 'var/lib/dpkg/status': DPKG_STATUS });
    assert.deepEqual(purls(bom), [
      'pkg:deb/debian/libc6@2.36-9+deb12u10?arch=amd64',
      'pkg:deb/debian/tzdata@2025b-0+deb12u1?arch=all',
    ]);
    const system = bom.components.find(({ type }) => type === 'operating-system');
    assert.deepEqual([system?.name, system?.version], ['debian', '12']);
  });

  it('reads the status files of "distroless" images, and what belongs to each', async () => {
    const bom = await sbomOf({
      'var/lib/dpkg/status.d/libssl3': 'Package: libssl3\nVersion: 3.0.15-1\nArchitecture: amd64\n',
      'var/lib/dpkg/status.d/libssl3.md5sums': `${'0'.repeat(32)}  usr/lib/libssl.so.3\n`,
      'usr/lib/libssl.so.3': 'library',
      app: 'program',
    });
    assert.deepEqual(purls(bom), ['pkg:deb/debian/libssl3@3.0.15-1?arch=amd64']);
    assert.ok(fileNames(bom).includes('app') && !fileNames(bom).includes('usr/lib/libssl.so.3'));
  });

  it("lists Alpine's packages with their licences, and their files as theirs", async () => {
    const bom = await sbomOf({
      'lib/apk/db/installed': APK,
      'lib/ld-musl-x86_64.so.1': 'musl',
      'bin/busybox': 'busybox',
      'srv/app': 'app',
    });
    assert.deepEqual(purls(bom), [
      'pkg:apk/alpine/busybox@1.36.1-r29?arch=x86_64',
      'pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64',
    ]);
    assert.deepEqual(fileNames(bom).sort(), ['lib/apk/db/installed', 'srv/app']);
    const musl = bom.components.find(({ name }) => name === 'musl');
    assert.deepEqual(musl?.licenses, [{ license: { id: 'MIT' } }]);
  });

  it('lists Node packages with their scope, and not what only sets options within one', async () => {
    const bom = await sbomOf({
      'app/package.json': '{"name":"my-app","version":"1.0.0"}',
      'app/index.js': '',
      'app/node_modules/zod/package.json': '{"name":"zod","version":"4.6.7","license":"MIT"}',
      'app/node_modules/zod/index.js': '',
      'app/node_modules/zod/mini/package.json': '{"name":"inner","version":"9.9.9"}',
      'app/node_modules/@scope/part/package.json': '{"name":"@scope/part","version":"0.1.0"}',
      'other/node_modules/zod/package.json': '{"name":"zod","version":"4.6.7"}',
    });
    assert.deepEqual(purls(bom), [
      'pkg:npm/%40scope/part@0.1.0',
      'pkg:npm/my-app@1.0.0',
      'pkg:npm/zod@4.6.7',
      'pkg:npm/zod@4.6.7',
    ]);
    assert.deepEqual(fileNames(bom).sort(), ['app/index.js', 'app/package.json']);
  });

  it('lists Python packages under their normal names, and what their RECORD names as theirs', async () => {
    const site = 'usr/lib/python3/site-packages';
    const bom = await sbomOf({
      [`${site}/Flask_Thing-3.1.0.dist-info/METADATA`]:
        'Metadata-Version: 2.4\nName: Flask_Thing\nVersion: 3.1.0\n\nName: no\n',
      [`${site}/Flask_Thing-3.1.0.dist-info/RECORD`]:
        'flask_thing/__init__.py,sha256=x,1\n../../../bin/flask,,\nFlask_Thing-3.1.0.dist-info/RECORD,,\nFlask_Thing-3.1.0.dist-info/METADATA,,\n',
      [`${site}/flask_thing/__init__.py`]: '',
      'usr/bin/flask': '',
      [`${site}/old.egg-info/PKG-INFO`]: 'Name: old\nVersion: 1\n',
    });
    assert.deepEqual(purls(bom), ['pkg:pypi/flask-thing@3.1.0', 'pkg:pypi/old@1']);
    assert.deepEqual(fileNames(bom), [`${site}/old.egg-info/PKG-INFO`]);
  });

  it('lists the modules of Go programs, with replacements', async () => {
    const bom = await sbomOf({
      '!app': goProgram(
        'path\texample.com/app\nmod\texample.com/app\t(devel)\t\ndep\tgolang.org/x/net\tv0.30.0\th1:x\ndep\texample.com/old\tv1.0.0\n=>\texample.com/new\tv1.2.0\th1:y\ndep\texample.com/part\tv0.0.0\n=>\t./part\t(devel)\t\n',
      ),
    });
    assert.deepEqual(
      bom.components
        .filter(({ type }) => type === 'library')
        .map(({ name, version }) => `${name} ${version}`)
        .sort(),
      [
        'example.com/app (devel)',
        'example.com/new v1.2.0',
        'example.com/part v0.0.0',
        'golang.org/x/net v0.30.0',
        'stdlib 1.24.4',
      ],
    );
  });

  it('reads a real Go program', async () => {
    const path = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'docker-registry'));
    const bom = await sbomOf({
      '!program': await readFile(path.find((each) => existsSync(each)) ?? 'docker-registry'),
    });
    const [compiler] = bom.components.filter(({ type }) => type === 'library');
    assert.match(compiler?.purl ?? '', /^pkg:golang\/stdlib@1\.\d+/);
    // Debian builds Go programs without modules
    assert.match(properties(bom, 'note').join(), /^program: .*without modules/);
  });

  it('says plainly what it did not catalogue', async () => {
    const bom = await sbomOf({ 'var/lib/rpm/rpmdb.sqlite': 'SQLite', 'opt/a.jar': 'PK', 'opt/b.war': 'PK' });
    const notes = properties(bom, 'note');
    assert.ok(
      notes.some((note) => /rpmdb\.sqlite.*not catalogued/.test(note)),
      notes.join(),
    );
    assert.ok(
      notes.some((note) => /2 Java archives.*not catalogued/.test(note)),
      notes.join(),
    );
  });

  it('names files of no package with their SHA-256, and counts all', async () => {
    const bom = await sbomOf({ 'srv/app': 'bytes', 'srv/data': 'more' });
    const app = bom.components.find(({ name }) => name === 'srv/app');
    assert.deepEqual(app?.hashes, [{ alg: 'SHA-256', content: createHash('sha256').update('bytes').digest('hex') }]);
    assert.deepEqual([properties(bom, 'files'), properties(bom, 'files-without-package')], [['2'], ['2']]);
  });

  it('knows the files of Debian packages wherever /lib and /usr/lib were merged', async () => {
    const bom = await sbomOf({
      'var/lib/dpkg/status': DPKG_STATUS,
      'var/lib/dpkg/info/libc6:amd64.list': '/.\n/lib\n/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu/libc.so.6\n',
      'usr/lib/x86_64-linux-gnu/libc.so.6': 'libc',
    });
    assert.ok(!fileNames(bom).some((name) => name.endsWith('libc.so.6')));
  });

  it('lists what dpkg itself lists of this machine', async () => {
    const status = await readFile('/var/lib/dpkg/status');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own form
    const format = ['--show', '--showformat', '${db:Status-Status} ${Package} ${Version}\\n'];
    const listed = execFileSync('dpkg-query', format, { encoding: 'utf8' }).trim().split('\n');
    const installed = listed
      .filter((line) => line.startsWith('installed '))
      .map((line) => line.slice('installed '.length));
    const bom = await sbomOf({ 'var/lib/dpkg/status': status });
    const found = bom.components.flatMap(({ purl, name, version }) => (purl === undefined ? [] : `${name} ${version}`));
    assert.deepEqual(found.sort(), installed.sort());
  });

  it('is the same for the same EIF, without a time, and another for another', async () => {
    const tree = { 'var/lib/dpkg/status': DPKG_STATUS, 'srv/app': 'a' };
    const [first, second, other] = [await sbomOf(tree), await sbomOf(tree), await sbomOf({ ...tree, 'srv/app': 'b' })];
    assert.equal(JSON.stringify(first), JSON.stringify(second));
    assert.notEqual(first.serialNumber, other.serialNumber);
    assert.match(first.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(first.metadata.timestamp, undefined);
    assert.equal(first.specVersion, '1.6');
  });

  it('has a reference of its own for each component', async () => {
    const bom = await sbomOf({
      'a/node_modules/x/package.json': '{"name":"x","version":"1"}',
      'b/node_modules/x/package.json': '{"name":"x","version":"1"}',
      'var/lib/dpkg/status': `${DPKG_STATUS}\n${DPKG_STATUS}`,
    });
    const refs = bom.components.map((each) => each['bom-ref']);
    assert.equal(new Set(refs).size, refs.length);
    assert.equal(purls(bom).length, 4);
  });

  it('skips what is broken, with a note', async () => {
    const bom = await sbomOf({
      'node_modules/bad/package.json': '{"name":',
      'node_modules/long/package.json': JSON.stringify({ name: 'n'.repeat(10_000), version: '1' }),
      'node_modules/line/package.json': JSON.stringify({ name: 'a\nb', version: '1' }),
      'node_modules/huge/package.json': Buffer.alloc(2 * 2 ** 20, 0x20),
      'node_modules/good/package.json': '{"name":"good","version":"1"}',
    });
    assert.deepEqual(purls(bom), ['pkg:npm/good@1']);
    assert.equal(properties(bom, 'note').length, 4);
  });

  it('takes any bytes for a database', async () => {
    const paths = [
      'etc/os-release',
      'var/lib/dpkg/status',
      'var/lib/dpkg/status.d/x',
      'var/lib/dpkg/info/x.list',
      'lib/apk/db/installed',
      'node_modules/x/package.json',
      'x.dist-info/METADATA',
      'x.dist-info/RECORD',
      '!go',
    ];
    const text = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc
        .string({ unit: 'binary' })
        .map((value) => Buffer.from(`Package: ${value}\nVersion: ${value}\nP:${value}\nV:1\n`)),
      fc.json().map((value) => Buffer.from(`{"name":${JSON.stringify(value)},"version":"1"}`)),
      fc
        .uint8Array({ maxLength: 80 })
        .map((bytes) => Buffer.concat([Buffer.from('\x7fELF            \xff Go buildinf:', 'latin1'), bytes])),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), text, async (path, bytes) => {
        const bom = await sbomOf({ [path]: bytes });
        assert.equal(bom.specVersion, '1.6');
      }),
      { numRuns: 150 },
    );
  });
});
