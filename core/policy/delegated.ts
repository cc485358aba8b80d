import { isRole, permissionsOf, type InstallationRole, type Permission } from './permissions.ts';

/** What somebody holds in a workspace now; null: they do not belong to it, or may not act. */
export interface PresentRights {
  roles: readonly string[];
  installationRole: InstallationRole | null;
}

/** What acts for a person without them (a schedule, a trigger) has its own grant, and of that only what the person has now. */
export function delegatedPermissions(grant: readonly string[], rights: PresentRights | null): Set<Permission> {
  if (rights === null) return new Set();
  return permissionsOf({ via: 'api_key', scopes: grant, roles: rights.roles.filter(isRole), installationRole: rights.installationRole });
}

/** Why it may not act any more, for people; null: it may. */
export function lostRight(grant: readonly string[], rights: PresentRights | null, needed: Permission, person: string): string | null {
  if (rights === null) return `${person}, for whom it acts, does not belong to this workspace any more, or was disabled.`;
  if (delegatedPermissions(grant, rights).has(needed)) return null;
  return grant.includes(needed) ? `${person}, for whom it acts, has lost the permission ${needed}.` : `It was not granted ${needed}.`;
}
