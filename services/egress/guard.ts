import { lookup as systemLookup } from 'node:dns/promises';
import type { LookupFunction, Socket } from 'node:net';
import { Agent, buildConnector } from 'undici';
import { KosError } from '#core/errors.ts';
import { type AddressClass, classifyAddress, isMetadataName, isThisHost, normalizeAddress } from '#services/egress/address.ts';
import {
  allowedByName,
  allowedExactly,
  canonicalHost,
  type Endpoint,
  endpointOf,
  endpointText,
  isAddressLiteral,
  isLocalName,
} from '#services/egress/allow-list.ts';

export interface ResolvedAddress {
  address: string;
  family: number;
}

/** All addresses of a name. Tests give their own; the default asks the system. */
export type ResolveHost = (host: string) => Promise<ResolvedAddress[]>;

export interface EgressPolicy {
  /** Entries `host:port` or `*.suffix:port`. Nothing else is reachable. */
  allow: readonly string[];
  /** Ports that kOS itself listens on: never reachable on this machine, whatever is allowed. */
  forbiddenPorts: () => readonly number[];
  resolve?: ResolveHost;
}

export type EgressRefusalCode =
  | 'egress_refused'
  | 'egress_private_address'
  | 'egress_metadata'
  | 'egress_own_port'
  | 'egress_scheme'
  | 'egress_name_unresolved';

/** A connection that was not made. Nothing was sent. */
export class EgressRefused extends KosError {
  constructor(code: EgressRefusalCode, message: string, fix: string | null, retryable = false) {
    super({ code, message, fix, status: 403, retryable });
    this.name = 'EgressRefused';
  }
}

const resolveBySystem: ResolveHost = (host) => systemLookup(host, { all: true, order: 'verbatim' });

/** Brackets are quoted: some shells read them as a pattern. */
const addCommand = (endpoint: string): string => `kai settings add egress ${endpoint.startsWith('[') ? `'${endpoint}'` : endpoint}`;

const literalText = (address: string): string => (address.includes(':') ? `[${address}]` : address);

function refusePlace(endpoint: Endpoint, addressClass: AddressClass | 'metadata-name'): never {
  const what = endpointText(endpoint);
  if (addressClass === 'metadata' || addressClass === 'metadata-name') {
    throw new EgressRefused('egress_metadata', `${what} is a cloud's metadata service, which is never reachable from a plan`, null);
  }
  throw new EgressRefused('egress_refused', `${what} is not among the hosts that this workspace allows`, addCommand(what));
}

/** What can be said before any name is resolved: allowed at all, no metadata, no own port written as an address. Throws EgressRefused. */
export function checkEndpoint(endpoint: Endpoint, policy: EgressPolicy): void {
  if (isMetadataName(endpoint.host)) refusePlace(endpoint, 'metadata-name');
  if (isAddressLiteral(endpoint.host)) checkAddress(endpoint, endpoint.host, policy);
  if (!allowedByName(policy.allow, endpoint)) refusePlace(endpoint, 'public');
}

/** Checks one address that `endpoint` stands for: a literal, an answer of the DNS, or the peer of an open socket. Throws EgressRefused. */
export function checkAddress(endpoint: Endpoint, address: string, policy: EgressPolicy): void {
  const addressClass = classifyAddress(address);
  if (addressClass === 'metadata') refusePlace(endpoint, addressClass);
  if (isThisHost(address) && policy.forbiddenPorts().includes(endpoint.port)) {
    throw new EgressRefused('egress_own_port', `${endpointText(endpoint)} is a port of kOS itself, which plans cannot reach`, null);
  }
  if (addressClass === 'public') return;
  const asLiteral = { host: literalText(normalizeAddress(address) ?? address), port: endpoint.port };
  const namesItself = isLocalName(endpoint.host) && allowedExactly(policy.allow, endpoint);
  if (namesItself || allowedExactly(policy.allow, asLiteral)) return;
  const standsFor = isAddressLiteral(endpoint.host) ? '' : ` (of ${endpoint.host})`;
  throw new EgressRefused(
    'egress_private_address',
    `${endpointText(asLiteral)}${standsFor} is a ${addressClass} address, which is reachable only when it is allowed by itself`,
    addCommand(endpointText(asLiteral)),
  );
}

/** Every address of the endpoint, each checked; one bad answer refuses the whole name. Throws EgressRefused. */
export async function resolveChecked(endpoint: Endpoint, policy: EgressPolicy): Promise<ResolvedAddress[]> {
  checkEndpoint(endpoint, policy);
  const bare = endpoint.host.replace(/^\[|\]$/g, '');
  if (isAddressLiteral(bare)) return [{ address: bare, family: bare.includes(':') ? 6 : 4 }];
  const addresses = await (policy.resolve ?? resolveBySystem)(bare).catch((cause: unknown) => {
    const detail = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
    throw new EgressRefused('egress_name_unresolved', `${bare} does not resolve${detail}`, 'check the name and this machine’s DNS', true);
  });
  if (addresses.length === 0) throw new EgressRefused('egress_name_unresolved', `${bare} has no address`, 'check the name and this machine’s DNS', true);
  for (const { address } of addresses) checkAddress(endpoint, address, policy);
  return addresses;
}

/** The connected peer must be one of the addresses that were checked, and must still pass. Throws EgressRefused. */
export function checkPeer(endpoint: Endpoint, peer: string | undefined, pinned: readonly ResolvedAddress[], policy: EgressPolicy): void {
  const normalized = peer === undefined ? null : normalizeAddress(peer);
  if (peer === undefined || normalized === null || !pinned.some(({ address }) => normalizeAddress(address) === normalized)) {
    throw new EgressRefused(
      'egress_refused',
      `${endpointText(endpoint)} led to ${peer ?? 'an unknown address'}, which was not the address that was checked`,
      null,
      true,
    );
  }
  checkAddress(endpoint, peer, policy);
}

/** Answers a socket's name look-up with the addresses that were checked, so that the DNS is asked once and cannot change its mind. */
const pinnedLookup =
  (pinned: readonly ResolvedAddress[]): LookupFunction =>
  (_host, options, callback) => {
    const wanted = pinned.filter(
      ({ family }) => options.family === undefined || options.family === 0 || options.family === family || options.family === `IPv${family}`,
    );
    const [first] = wanted;
    if (first === undefined) callback(new Error('no checked address of the wanted family'), '', 0);
    else if (options.all === true)
      callback(
        null,
        wanted.map(({ address, family }) => ({ address, family })),
      );
    else callback(null, first.address, first.family);
  };

export interface GuardedDispatcherOptions {
  connectTimeoutMs?: number;
  headersTimeoutMs?: number;
  bodyTimeoutMs?: number;
  /** Connections at once per origin. */
  connections?: number;
  /** Called when a checked connection stands, before anything of HTTP is sent on it. */
  onConnected?: () => void;
}

/**
 * An undici dispatcher that reaches only what `policy` allows: the literal is checked, every resolved address is checked and pinned, and so is
 * the peer of the open socket. Redirects are not followed here (see `guardedFetch`). A pooled connection lives as long as the dispatcher: make
 * a new one when the policy changes.
 */
export function createGuardedDispatcher(policy: EgressPolicy, options: GuardedDispatcherOptions = {}): Agent {
  const timeout = options.connectTimeoutMs ?? 10_000;
  const openSocket = (target: buildConnector.Options, pinned: readonly ResolvedAddress[]): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const connectorOptions: buildConnector.BuildOptions = { timeout, allowH2: false, lookup: pinnedLookup(pinned) };
      buildConnector(connectorOptions)(target, (error, socket) => (error === null ? resolve(socket) : reject(error)));
    });

  const connect = async (target: buildConnector.Options): Promise<Socket> => {
    const host = canonicalHost(target.hostname);
    const scheme = target.protocol === 'https:' || target.protocol === 'http:';
    if (host === null || !scheme) throw new EgressRefused('egress_scheme', `${target.protocol}//${target.hostname} is not an http or https address`, null);
    const endpoint = { host, port: Number(target.port) || (target.protocol === 'https:' ? 443 : 80) };
    const pinned = await resolveChecked(endpoint, policy);
    const socket = await openSocket({ ...target, hostname: host.replace(/^\[|\]$/g, '') }, pinned);
    try {
      checkPeer(endpoint, socket.remoteAddress, pinned, policy);
    } catch (refusal) {
      socket.destroy();
      throw refusal;
    }
    options.onConnected?.();
    return socket;
  };

  return new Agent({
    connect: (target, callback) => {
      connect(target).then(
        (socket) => callback(null, socket),
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
      );
    },
    headersTimeout: options.headersTimeoutMs ?? 300_000,
    bodyTimeout: options.bodyTimeoutMs ?? 300_000,
    keepAliveTimeout: 4_000,
    ...(options.connections === undefined ? {} : { connections: options.connections }),
  });
}

/** The endpoint of a URL that may be asked for, checked as far as its text says. Throws EgressRefused. */
export function checkUrl(url: URL, policy: EgressPolicy): Endpoint {
  const endpoint = endpointOf(url);
  if (endpoint === null) throw new EgressRefused('egress_scheme', `${url.protocol}//${url.hostname} is not an http or https address`, null);
  checkEndpoint(endpoint, policy);
  return endpoint;
}
