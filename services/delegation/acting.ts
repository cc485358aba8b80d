import { KosError } from '#core/errors.ts';
import { can } from '#core/policy/can.ts';
import type { Permission } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';

/** What starts runs, or tells of them, for a person without them. */
export type Acting = 'schedule' | 'trigger' | 'webhook' | 'channel';

/** What starts runs may do, of what that person may. */
export const actingGrant = ['runs:start'] as const;

/** What tells of runs may do. */
export const tellingGrant = ['runs:read'] as const;

const kinds: Record<Acting, { permission: Permission; does: string; change: string }> = {
  schedule: { permission: actingGrant[0], does: 'starts runs', change: 'kai schedule set' },
  trigger: { permission: actingGrant[0], does: 'starts runs', change: 'kai trigger set' },
  webhook: { permission: tellingGrant[0], does: 'is told of runs', change: 'kai webhook update' },
  channel: { permission: tellingGrant[0], does: 'tells of runs', change: 'kai channel update' },
};

/** Nobody hands on a right that they do not have. Throws KosError `permission_missing` (403). */
export function assertMayHandOn(principal: Principal, kind: Acting): void {
  const { permission, does } = kinds[kind];
  if (can(principal, permission)) return;
  throw new KosError({
    code: 'permission_missing',
    message: `A ${kind} ${does} with your rights, and you do not have the permission ${permission}.`,
    fix: 'Use a credential that has it: kai whoami --permissions',
    status: 403,
    extra: { permission },
  });
}

/** Throws KosError `schedule_changed`, `trigger_changed` … (412) unless it is as its editor read it. */
export function assertUnchanged(kind: Acting, row: { name: string; version: number }, version: number): void {
  if (row.version === version) return;
  throw new KosError({
    code: `${kind}_changed`,
    message: `The ${kind} "${row.name}" was changed since you read it.`,
    fix: 'Read it again, and repeat with its new ETag.',
    status: 412,
    extra: { etag: `"${kind}-${row.version}"` },
  });
}

/** KosError `schedule_exists`, `trigger_exists` … (409). */
export const nameTaken = (kind: Acting, name: string): KosError =>
  new KosError({
    code: `${kind}_exists`,
    message: `There is a ${kind} called "${name}" already.`,
    fix: `Change it (${kinds[kind].change} ${name}), or choose another name.`,
    status: 409,
  });
