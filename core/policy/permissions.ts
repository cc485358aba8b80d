import { roleNames } from '#schemas/plan.ts';

/** What a principal may be allowed to do. A route names exactly one. */
export const permissions = [
  'self:read',
  'plans:read',
  'plans:write',
  'runs:read',
  'runs:start',
  'runs:cancel',
  'runs:terminate',
  'runs:pause',
  'runs:retry',
  'runs:override',
  'runs:prioritize',
  'runs:signal',
  'runs:pin',
  'runs:delete',
  'approvals:read',
  'approvals:decide',
  'artifacts:read',
  'secrets:read',
  'secrets:write',
  'settings:read',
  'settings:write',
  'metrics:read',
  'audit:read',
] as const;
export type Permission = (typeof permissions)[number];

export const roles = roleNames;
export type Role = (typeof roles)[number];

export const isRole = (text: string): text is Role => (roles as readonly string[]).includes(text);

/** The roles whose rights each role has too, itself included. A person may hold several. */
const includes: Record<Role, readonly Role[]> = {
  viewer: ['viewer'],
  operator: ['operator', 'viewer'],
  approver: ['approver', 'viewer'],
  admin: ['admin', 'operator', 'approver', 'viewer'],
  owner: ['owner', 'admin', 'operator', 'approver', 'viewer'],
};

/** What each role adds to those it includes. */
const adds: Record<Role, readonly Permission[]> = {
  viewer: ['self:read', 'plans:read', 'runs:read', 'approvals:read', 'artifacts:read'],
  operator: [
    'plans:write',
    'runs:start',
    'runs:cancel',
    'runs:signal',
    'runs:terminate',
    'runs:pause',
    'runs:retry',
    'runs:override',
    'runs:prioritize',
    'runs:pin',
  ],
  approver: ['approvals:decide'],
  admin: ['secrets:read', 'secrets:write', 'settings:read', 'settings:write', 'metrics:read', 'audit:read'],
  owner: ['runs:delete'],
};

/** What no key has unless it is granted by name, whatever its owner's roles. */
const grantedByNameOnly: readonly Permission[] = ['approvals:decide'];

export const rolesIncludedIn = (held: readonly Role[]): Set<Role> => new Set(held.flatMap((role) => includes[role]));

export const permissionsOfRoles = (held: readonly Role[]): Set<Permission> => new Set([...rolesIncludedIn(held)].flatMap((role) => adds[role]));

/** The roles that give a permission, the least one first. */
export const rolesThatGrant = (permission: Permission): Role[] => roles.filter((role) => permissionsOfRoles([role]).has(permission));
export type CredentialKind = 'api_key' | 'owner_key';

/**
 * What a key may do: its owner's permissions, narrowed by its scopes (null: not narrowed), without what must be granted by name. The owner's
 * local key is the person at this machine, so it is narrowed by nothing.
 */
export function permissionsOfKey(key: { kind: CredentialKind; scopes: readonly string[] | null; roles: readonly Role[] }): Set<Permission> {
  const own = permissionsOfRoles(key.roles);
  if (key.kind === 'owner_key') return own;
  const granted = [...own].filter((permission) => (key.scopes === null ? !grantedByNameOnly.includes(permission) : key.scopes.includes(permission)));
  return new Set<Permission>(['self:read', ...granted]);
}
