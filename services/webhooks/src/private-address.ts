import { BlockList, isIP } from 'node:net';

/** What is not the public internet: IANA's special-purpose registries for IPv4 and IPv6, as far as hosts are found there. */
const special = { ipv4: new BlockList(), ipv6: new BlockList() };
for (const range of [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/3',
]) {
  const [address = '', bits] = range.split('/');
  special.ipv4.addSubnet(address, Number(bits), 'ipv4');
}
// Everything but global unicast, and within that what wraps an IPv4 address
for (const range of ['::/3', '4000::/2', '8000::/1', '2001::/23', '2002::/16']) {
  const [address = '', bits] = range.split('/');
  special.ipv6.addSubnet(address, Number(bits), 'ipv6');
}

/** Whether an IP address is one of this host or of a private network. */
export function isPrivate(address: string): boolean {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  return special[family].check(address, family);
}
