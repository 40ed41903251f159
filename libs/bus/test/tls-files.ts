import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const openssl = (...args: string[]) => promisify(execFile)('openssl', args);

/** Makes a CA, and with it certificates for a server at `names` (`IP:…`, `DNS:…`) and for a client; paths of PEM files. */
export async function tlsFiles(folder: string, names: readonly string[]) {
  const at = (name: string): string => join(folder, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await openssl('req', '-x509', ...newKey, '-subj', '/CN=test CA', '-keyout', at('ca.key'), '-out', at('ca.pem'));
  for (const name of ['server', 'client']) {
    await writeFile(at('ext'), name === 'server' ? `subjectAltName=${names.join(',')}` : 'extendedKeyUsage=clientAuth');
    await openssl('req', '-new', ...newKey, '-subj', `/CN=${name}`, '-keyout', at(`${name}.key`), '-out', at('csr'));
    const by = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '1'];
    await openssl('x509', '-req', '-in', at('csr'), ...by, '-extfile', at('ext'), '-out', at(`${name}.pem`));
  }
  const pair = (name: string) => ({ cert: at(`${name}.pem`), key: at(`${name}.key`) });
  return { ca: at('ca.pem'), server: pair('server'), client: pair('client') };
}
