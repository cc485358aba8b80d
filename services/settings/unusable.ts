import { type FaultDetail, KosError } from '#core/errors.ts';
import type { WorkspaceSettings } from '#schemas/settings.ts';
import { canonicalHost, type Endpoint, isAddressLiteral } from '#services/egress/allow-list.ts';
import { checkAddress, checkEndpoint, EgressRefused } from '#services/egress/guard.ts';
import { isClosed, isClosedElsewhere, readBoundary } from '#services/tools/files/boundary.ts';

/** What stays closed to tools whatever a workspace allows. */
export interface Closed {
  home: string;
  /** Ports on which kOS itself listens. */
  ownPorts: readonly number[];
}

type Allowed = Pick<WorkspaceSettings, 'roots' | 'egress'>;

/** Throws KosError `settings_unusable` (422) that names every entry of the change that was not there before and would never let a tool through. */
export async function refuseUnusable(before: Allowed, change: Partial<Allowed>, closed: Closed): Promise<void> {
  const known = { egress: new Set(before.egress), roots: new Set(before.roots.map(({ path }) => path)) };
  const egress = (change.egress ?? []).map((entry, index) => ({
    pointer: `/egress/${index}`,
    why: known.egress.has(entry) ? null : whyUnreachable(entry, closed),
  }));
  const roots = await Promise.all(
    (change.roots ?? []).map(async ({ path }, index) => ({
      pointer: `/roots/${index}/path`,
      why: known.roots.has(path) ? null : await whyClosed(path, closed),
    })),
  );
  const details = [...egress, ...roots].flatMap(({ pointer, why }): FaultDetail[] => (why === null ? [] : [{ pointer, message: why }]));
  if (details.length === 0) return;
  throw new KosError({
    code: 'settings_unusable',
    message: 'The settings were not changed: tools would be refused there all the same.',
    fix: 'Leave such entries out.',
    status: 422,
    details,
  });
}

function whyUnreachable(entry: string, { ownPorts }: Closed): string | null {
  const [, name = '', digits] = /^(.+):(\d{1,5})$/.exec(entry) ?? [];
  const port = Number(digits);
  const isPattern = name.startsWith('*.');
  const host = canonicalHost(isPattern ? name.slice(2) : name);
  if (!(port >= 1 && port <= 65_535)) return `${entry} has no port from 1 to 65535`;
  if (host === null) return `${entry} names no host that a URL could carry`;
  if (isPattern && isAddressLiteral(host)) return `${entry} stands for names below an address, and there are none`;
  // Any name below it is as good as another.
  return whyRefused({ host: isPattern ? `any.${host}` : host, port }, ownPorts);
}

/** As the guard of each connection says it, asked with the entry allowed. Names are not resolved: what they stand for may change. */
function whyRefused(endpoint: Endpoint, ownPorts: readonly number[]): string | null {
  const policy = { allow: [`${endpoint.host}:${endpoint.port}`], forbiddenPorts: () => ownPorts };
  try {
    checkEndpoint(endpoint, policy);
    if (/(^|\.)localhost$/.test(endpoint.host)) checkAddress(endpoint, '127.0.0.1', policy);
    return null;
  } catch (error) {
    if (error instanceof EgressRefused) return error.message;
    throw error;
  }
}

async function whyClosed(path: string, { home }: Closed): Promise<string | null> {
  const boundary = await readBoundary(home, { roots: [{ path, write: false }], egress: [] });
  const { real } = boundary.roots[0] ?? { real: path };
  const isRefused = isClosed(path, boundary) || isClosed(real, boundary) || (await isClosedElsewhere(real, boundary));
  return isRefused ? `${path} belongs to kOS itself or to the system; tools reach no such file, whatever is allowed` : null;
}
