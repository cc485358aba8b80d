import { roleNames } from '#schemas/plan.ts';

/** What a member of a workspace may be allowed to do there. A route names exactly one permission. */
const workspacePermissions = [
  'self:read',
  'self:write',
  'self:secure',
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
  'runs:bulk',
  'runs:signal',
  'runs:pin',
  'runs:delete',
  'history:read',
  'cache:clear',
  'schedules:read',
  'schedules:write',
  'schedules:run',
  'triggers:read',
  'triggers:write',
  'triggers:run',
  'triggers:read-body',
  'webhooks:read',
  'webhooks:write',
  'channels:read',
  'channels:write',
  'approvals:read',
  'approvals:decide',
  'approvals:comment',
  'rules:read',
  'rules:write',
  'artifacts:read',
  'secrets:read',
  'secrets:write',
  'settings:read',
  'settings:write',
  'metrics:read',
  'audit:read',
  'keys:read',
  'keys:write',
  'members:read',
  'members:write',
] as const;

/** What reaches beyond one workspace; it comes with the installation's role `owner`. */
const installationPermissions = ['self:open', 'people:read', 'people:write', 'workspaces:write'] as const;

export const permissions = [...workspacePermissions, ...installationPermissions] as const;
export type Permission = (typeof permissions)[number];

export const roles = roleNames;
export type Role = (typeof roles)[number];

export const isRole = (text: string): text is Role => (roles as readonly string[]).includes(text);

export type InstallationRole = 'owner';

/** The roles whose rights each role has too, itself included. A person may hold several. */
const includes: Record<Role, readonly Role[]> = {
  viewer: ['viewer'],
  operator: ['operator', 'viewer'],
  approver: ['approver', 'viewer'],
  admin: ['admin', 'operator', 'approver', 'viewer'],
  owner: ['owner', 'admin', 'operator', 'approver', 'viewer'],
};

/** What belongs to everybody who can sign in, member of a workspace or not. */
const ofEverybody: readonly Permission[] = ['self:read', 'self:write', 'self:secure'];

/** What each role adds to those it includes. */
const adds: Record<Role, readonly Permission[]> = {
  viewer: [
    ...ofEverybody,
    'plans:read',
    'runs:read',
    'schedules:read',
    'triggers:read',
    'webhooks:read',
    'channels:read',
    'approvals:read',
    'rules:read',
    'artifacts:read',
    'keys:read',
    'keys:write',
    'members:read',
  ],
  operator: [
    'approvals:comment',
    'plans:write',
    'runs:start',
    'runs:cancel',
    'runs:signal',
    'runs:terminate',
    'runs:pause',
    'runs:retry',
    'runs:override',
    'runs:prioritize',
    'runs:bulk',
    'runs:pin',
    'history:read',
    'cache:clear',
    'schedules:write',
    'schedules:run',
    'triggers:write',
    'triggers:run',
    'webhooks:write',
    'channels:write',
  ],
  approver: ['approvals:decide', 'approvals:comment'],
  admin: [
    'triggers:read-body',
    'rules:write',
    'secrets:read',
    'secrets:write',
    'settings:read',
    'settings:write',
    'metrics:read',
    'audit:read',
    'members:write',
  ],
  owner: ['runs:delete'],
};

/** What no key or token has unless it is granted by name, whatever its owner's roles. */
export const grantedByNameOnly: readonly Permission[] = ['approvals:decide', 'rules:write', 'members:write', 'people:read', 'people:write', 'workspaces:write'];

/** What would let a program become the person it acts for: their password, their sessions. No scope gives it. */
export const neverForPrograms: readonly Permission[] = ['self:secure', 'self:open'];

export const rolesIncludedIn = (held: readonly Role[]): Set<Role> => new Set(held.flatMap((role) => includes[role]));

export const permissionsOfRoles = (held: readonly Role[]): Set<Permission> => new Set([...rolesIncludedIn(held)].flatMap((role) => adds[role]));

/** The roles that give a permission, the least one first; none for what the installation's owner alone may do. */
export const rolesThatGrant = (permission: Permission): Role[] => roles.filter((role) => permissionsOfRoles([role]).has(permission));

export const isOfInstallation = (permission: Permission): boolean => (installationPermissions as readonly Permission[]).includes(permission);

/** How somebody signed in. `token`: an access token, for a person or for a key. */
export type Via = 'owner_key' | 'session' | 'api_key' | 'token';

export interface Rights {
  via: Via;
  /** What the credential is narrowed to; null: not narrowed. */
  scopes: readonly string[] | null;
  /** Held in the workspace now, whatever they were when the credential was made. */
  roles: readonly Role[];
  installationRole: InstallationRole | null;
}

/**
 * What a credential may do: its owner's present permissions, narrowed by its scopes, without what a program must be granted by name. The owner's
 * local key is the person at this machine, so it is narrowed by nothing; only it opens sessions by itself.
 */
export function permissionsOf({ via, scopes, roles: held, installationRole }: Rights): Set<Permission> {
  const own = new Set<Permission>([...ofEverybody, ...permissionsOfRoles(held), ...(installationRole === null ? [] : installationPermissions)]);
  switch (via) {
    case 'owner_key':
      return own;
    case 'session':
      own.delete('self:open');
      return own;
    case 'api_key':
    case 'token': {
      const isGranted = (permission: Permission): boolean => (scopes === null ? !grantedByNameOnly.includes(permission) : scopes.includes(permission));
      const granted = [...own].filter((permission) => isGranted(permission) && !neverForPrograms.includes(permission));
      return new Set<Permission>(['self:read', ...granted]);
    }
  }
}
