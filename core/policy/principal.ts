import { isRole, type Permission, type Role, rolesIncludedIn } from './permissions.ts';

/** Who makes a request, and what that credential may do. Of one workspace: a key belongs to one. */
export interface Principal {
  principalId: string;
  name: string;
  workspaceId: string;
  credentialId: string;
  /** The person who answers for what is done: the key's owner. */
  responsible: string;
  roles: readonly Role[];
  permissions: ReadonlySet<Permission>;
}

export const can = (principal: Principal, permission: Permission): boolean => principal.permissions.has(permission);

/** Whether these roles satisfy an approval's `from`, e.g. `role:approver`: the role itself or one that includes it. An unknown form is met by nobody. */
export function meetsFrom(held: readonly Role[], from: string): boolean {
  const wanted = from.startsWith('role:') ? from.slice('role:'.length) : '';
  return isRole(wanted) && rolesIncludedIn(held).has(wanted);
}
