import { readFileSync } from 'node:fs';

/**
 * Who may import whom: the folder table of docs/architecture.md, as rules. A package is reached through its public
 * surface, never through a path into it.
 */
const rooms = {
  'libs/vsock': [],
  'libs/manifest': [],
  'libs/eif': [],
  'libs/wire': [],
  'libs/cms': [],
  'libs/http-forward': [],
  'libs/egress-policy': ['libs/manifest'],
  'libs/telemetry': [],
  'libs/bus': ['libs/telemetry'],
  'libs/events': [],
  'libs/signer': ['libs/eif'],
  'libs/provenance': ['libs/eif'],
  'libs/trust': ['libs/eif'],
  'libs/machine': ['libs/attestation', 'libs/eif', 'libs/vsock', 'libs/wire'],
  'libs/attestation': ['libs/eif'],
  'services/builder': ['libs'],
  'services/supervisor': ['libs'],
  'services/outer-proxy': ['libs'],
  'services/log-relay': ['libs'],
  'services/webhooks': ['libs'],
  'tools/kms-emulator': ['libs'],
  'tools/nitro-cli': ['libs'],
  odyn: ['libs'],
  cli: ['libs'],
};

/** Of a package, all that is no test: what runs, and what makes it. */
const PARTS = '(src|build|scripts)';

const forbidden = [
  { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
  {
    name: 'declared-dependencies-only',
    severity: 'error',
    from: { pathNot: '/test/' },
    to: { dependencyTypes: ['unknown', 'undetermined', 'npm-no-pkg', 'npm-unknown'] },
  },
];

for (const [room, allowed] of Object.entries(rooms)) {
  forbidden.push({
    name: `${room.replace('/', '-')}-imports`,
    comment: `${room} may import ${allowed.length === 0 ? 'nothing of ours' : allowed.join(', ')}`,
    severity: 'error',
    from: { path: `^${room}/${PARTS}/` },
    to: { path: '^(libs|services|tools|odyn|cli|test|bench)/', pathNot: [room, ...allowed].map((to) => `^${to}/`) },
  });
}

/** Files that a package's `exports` names: what others may see of it. */
function publicFiles(room) {
  const { exports = {} } = JSON.parse(readFileSync(new URL(`../${room}/package.json`, import.meta.url), 'utf8'));
  return Object.values(exports).map((file) => `^${room}/${file.replace('./', '').replaceAll('.', '\\.')}$`);
}

for (const room of Object.keys(rooms)) {
  forbidden.push({
    name: `${room.replace('/', '-')}-public-surface`,
    comment: `others see of ${room} only what its package.json exports`,
    severity: 'error',
    from: { pathNot: `^${room}/`, path: `^(libs/[^/]+|services/[^/]+|tools/[^/]+|odyn|cli)/${PARTS}/` },
    to: { path: `^${room}/`, pathNot: publicFiles(room) },
  });
}

export default {
  forbidden,
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(node_modules|dist)/' },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['node', 'import'] },
    parser: 'acorn',
  },
};
