import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';

/**
 * What an address is to an installation that must not be turned against its own network. `embedded` is an IPv6 form that carries an IPv4
 * address other than `::ffff:` (NAT64, 6to4, Teredo, IPv4-compatible): where it ends is decided by routers we do not know.
 */
export type AddressClass =
  | 'public'
  | 'loopback'
  | 'unspecified'
  | 'private'
  | 'link-local'
  | 'carrier-grade-nat'
  | 'multicast'
  | 'reserved'
  | 'embedded'
  | 'metadata';

type ParsedAddress = ReturnType<typeof ipaddr.process>;

/** Services of clouds that hand credentials to whoever asks from the machine. Public by range or not, never reachable. */
const metadataRanges = [
  '169.254.169.0/24', // AWS, GCP, Azure, OpenStack, DigitalOcean, Oracle; with AWS's DNS and time beside it
  '169.254.170.0/24', // AWS ECS task and EKS pod credentials
  '169.254.0.23/32', // Tencent Cloud
  '168.63.129.16/32', // Azure's wire server; looks like ordinary unicast
  '100.100.100.200/32', // Alibaba Cloud
  '192.0.0.192/32', // Oracle Cloud, classic
  'fd00:ec2::/32', // AWS over IPv6
  'fd20:ce::254/128', // GCP over IPv6
  'fd00:a9fe:a9fe::254/128', // OpenStack-based clouds over IPv6
  'fd00:42::42/128', // Scaleway over IPv6
  '169.254.42.42/32', // Scaleway
].map((range) => ipaddr.parseCIDR(range));

/** Names under which clouds publish the same services. */
const metadataNames = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.tencentyun.com',
  'metadata.oraclecloud.com',
  'metadata.azure.internal',
]);

/** IPv6 unicast that is routed on the Internet (RFC 4291, IANA): all the rest is refused, known to us or not. */
const globalUnicast = ipaddr.parseCIDR('2000::/3');
const ipv4Compatible = ipaddr.parseCIDR('::/96');

/** The address without IPv6 wrapping of `::ffff:a.b.c.d` and without zone, or null when the text is no canonical address. */
function parseAddress(address: string): ParsedAddress | null {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  return ipaddr.isValid(bare) ? ipaddr.process(bare) : null;
}

const matchesRange = (address: ParsedAddress, [network, bits]: [ParsedAddress, number]): boolean =>
  address.kind() === network.kind() && address.match(network, bits);

/** The IPv4 address that an IPv6 one carries for a translator (RFC 6052, 3056, 4380, 4291), or null. */
function embeddedIpv4(address: ParsedAddress): ParsedAddress | null {
  if (address.kind() === 'ipv4') return null;
  const bytes = address.toByteArray();
  const fromBytes = (start: number): ParsedAddress => ipaddr.fromByteArray(bytes.slice(start, start + 4));
  const range = address.range();
  if (range === '6to4') return fromBytes(2);
  if (range === 'teredo') return ipaddr.fromByteArray(bytes.slice(12).map((byte) => byte ^ 0xff));
  if (range === 'rfc6052' || range === 'rfc6145') return fromBytes(12);
  return matchesRange(address, ipv4Compatible) ? fromBytes(12) : null;
}

function classifyParsed(address: ParsedAddress): AddressClass {
  if (metadataRanges.some((range) => matchesRange(address, range))) return 'metadata';
  const range = address.range();
  if (range === 'loopback') return 'loopback';
  if (range === 'unspecified') return 'unspecified';
  const embedded = embeddedIpv4(address);
  if (embedded !== null) return classifyParsed(embedded) === 'metadata' ? 'metadata' : 'embedded';
  if (range === 'private' || range === 'uniqueLocal') return 'private';
  if (range === 'linkLocal') return 'link-local';
  if (range === 'carrierGradeNat') return 'carrier-grade-nat';
  if (range === 'multicast' || range === 'broadcast') return 'multicast';
  const routed = address.kind() === 'ipv4' || matchesRange(address, globalUnicast);
  return range === 'unicast' && routed ? 'public' : 'reserved';
}

/** Classifies a canonical address (dotted IPv4 or IPv6, brackets and zone allowed). What cannot be read is `reserved`: refused, not guessed. */
export function classifyAddress(address: string): AddressClass {
  const parsed = parseAddress(address);
  return parsed === null ? 'reserved' : classifyParsed(parsed);
}

export const isMetadataName = (host: string): boolean => metadataNames.has(host);

/** One spelling per address, so that two notations compare equal. Null when the text is no address. */
export const normalizeAddress = (address: string): string | null => parseAddress(address)?.toString() ?? null;

/** True when a connection to this address ends on this machine: loopback, unspecified, or an address of an interface, also inside an IPv6 wrapping. */
export function isThisHost(address: string, interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): boolean {
  const parsed = parseAddress(address);
  if (parsed === null) return false;
  const candidates = [parsed, embeddedIpv4(parsed)].filter((candidate) => candidate !== null);
  const own = new Set(Object.values(interfaces).flatMap((entries) => (entries ?? []).map((entry) => normalizeAddress(entry.address))));
  return candidates.some((candidate) => ['loopback', 'unspecified'].includes(candidate.range()) || own.has(candidate.toString()));
}
