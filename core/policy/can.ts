import {
  grantedByNameOnly,
  isOfInstallation,
  neverForPrograms,
  type Permission,
  permissionsOf,
  type Role,
  rolesIncludedIn,
  rolesThatGrant,
} from './permissions.ts';
import type { Principal } from './principal.ts';

/** What an action is done to, as far as rights depend on it. */
export type Resource =
  | { kind: 'key'; workspaceId: string; ownerId: string }
  /** `wanted`: the roles that the member is to hold afterwards. */
  | { kind: 'member'; workspaceId: string; held: readonly Role[]; wanted: readonly Role[] };

/** Why not: what stands in the way, nearest first. */
export type Obstacle =
  /** No role of theirs gives it. */
  | 'role'
  /** Their role would, but the credential is narrowed. */
  | 'scope'
  /** Programs have it only when their scopes name it. */
  | 'by_name'
  /** No program has it. */
  | 'program'
  /** It is in another workspace. */
  | 'workspace'
  /** It belongs to somebody else. */
  | 'not_yours'
  /** It would give or take a role that they do not hold themselves. */
  | 'beyond_yours';

export type Verdict = { allowed: true } | { allowed: false; obstacle: Obstacle };

const allowed: Verdict = { allowed: true };
const denied = (obstacle: Obstacle): Verdict => ({ allowed: false, obstacle });

/** The one place that says who may do what. Denies unless something allows. */
export function decide(principal: Principal, action: Permission, resource?: Resource): Verdict {
  if (!principal.permissions.has(action)) return denied(obstacleTo(principal, action));
  if (resource === undefined) return allowed;
  if (resource.workspaceId !== principal.workspaceId) return denied('workspace');
  switch (resource.kind) {
    case 'key':
      return resource.ownerId === principal.principalId || principal.permissions.has('members:write') ? allowed : denied('not_yours');
    case 'member': {
      const own = rolesIncludedIn(principal.roles);
      return [...resource.held, ...resource.wanted].every((role) => own.has(role)) ? allowed : denied('beyond_yours');
    }
  }
}

export const can = (principal: Principal, action: Permission, resource?: Resource): boolean => decide(principal, action, resource).allowed;

function obstacleTo(principal: Principal, action: Permission): Obstacle {
  const { roles, installationRole } = principal;
  const isPersons = permissionsOf({ via: 'owner_key', scopes: null, roles, installationRole }).has(action);
  if (!isPersons) return 'role';
  if (neverForPrograms.includes(action)) return 'program';
  if (principal.scopes === null && grantedByNameOnly.includes(action)) return 'by_name';
  return 'scope';
}

/** What stands in the way, and what would help, for people. */
export function explainDenial(action: Permission, obstacle: Obstacle): { message: string; fix: string } {
  const roleFix = isOfInstallation(action) ? 'It belongs to the owner of the installation.' : `It comes with the role ${rolesThatGrant(action).join(' or ')}.`;
  switch (obstacle) {
    case 'role':
      return { message: `This needs the permission ${action}, which none of your roles gives.`, fix: roleFix };
    case 'scope':
      return {
        message: `This needs the permission ${action}, which your credential is not scoped for.`,
        fix: `Use a key whose scopes name ${action}. ${roleFix}`,
      };
    case 'by_name':
      return {
        message: `This needs the permission ${action}, which a key or token has only when its scopes name it.`,
        fix: `Use a key made with the scope ${action}. ${roleFix}`,
      };
    case 'program':
      return { message: `This needs the permission ${action}, which no key or token has.`, fix: 'Do it in a session: kai open.' };
    case 'workspace':
      return { message: 'This belongs to another workspace.', fix: 'Use a credential of that workspace, or name it in Kos-Workspace.' };
    case 'not_yours':
      return { message: 'This belongs to somebody else.', fix: 'Somebody with the permission members:write may do it.' };
    case 'beyond_yours':
      return { message: 'This would give or take a role that you do not hold yourself.', fix: 'Ask somebody who holds it.' };
  }
}
