import { isIP } from 'node:net';
import { KosError } from '#core/errors.ts';
import { findFreePort, isPortFree } from '#services/embedded/ports.ts';

export interface ListenWish {
  host: string;
  /** 0 takes a free one. */
  port: number;
  publicUrl: string | undefined;
  insecure: boolean;
}

export interface ListenAddress {
  host: string;
  port: number;
  /** What the ready line names. */
  localUrl: string;
  /** Under which address people reach it. */
  publicUrl: string;
}

/** Decides where the API listens, before anything is started. */
export async function chooseAddress(wish: ListenWish): Promise<ListenAddress> {
  if (!isLoopback(wish.host)) refuseOpenDoor(wish);
  const port = await freePort(wish).catch((cause: unknown) => {
    throw hostUnusable(wish.host, cause);
  });
  if (port === null) throw portInUse(wish);
  const localUrl = `http://${isIP(wish.host) === 6 ? `[${wish.host}]` : wish.host}:${port}`;
  return { host: wish.host, port, localUrl, publicUrl: wish.publicUrl ?? localUrl };
}

/** Null: the wished one is taken. */
async function freePort({ host, port }: ListenWish): Promise<number | null> {
  if (port === 0) return findFreePort(host);
  return (await isPortFree(port, host)) ? port : null;
}

const portInUse = ({ host, port }: ListenWish): KosError =>
  new KosError({
    code: 'port_in_use',
    message: `Port ${port} of ${host} is in use by another program, or this user may not open it.`,
    fix: `Stop that program, or take another port: npm start -- --port ${port === 65_535 ? 3000 : port + 1} (0 takes a free one; KOS_PORT sets it for good).`,
    status: 409,
  });

const hostUnusable = (host: string, cause: unknown): KosError =>
  new KosError({
    code: 'host_unusable',
    message: `KOS_HOST is ${host}, where this machine cannot listen: ${(cause as Error).message}.`,
    fix: 'Set KOS_HOST to an address of this machine, or leave it at 127.0.0.1.',
    cause,
  });

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Keys and sessions in clear on a network: only on an explicit word. */
function refuseOpenDoor(wish: ListenWish): void {
  if (wish.insecure || wish.publicUrl?.startsWith('https://') === true) return;
  throw new KosError({
    code: 'insecure_host',
    message: `KOS_HOST is ${wish.host}: others could reach kOS there, and keys would travel in clear.`,
    fix: 'Set KOS_PUBLIC_URL to the https address of a proxy in front of it, leave KOS_HOST at 127.0.0.1, or accept the risk with KOS_INSECURE=1.',
  });
}
