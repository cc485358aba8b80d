import type { InstallationRole, Permission, Role, Via } from './permissions.ts';

/** Who makes a request, and what that credential may do, in one workspace. */
export interface Principal {
  principalId: string;
  name: string;
  /** Empty for a signed-in person who belongs to none; nothing is seen under it. */
  workspaceId: string;
  /** The key, session or grant that was shown. */
  credentialId: string;
  /** The person who answers for what is done: the key's owner. */
  responsible: string;
  roles: readonly Role[];
  permissions: ReadonlySet<Permission>;
  via: Via;
  /** What the credential is narrowed to; null: not narrowed. */
  scopes: readonly string[] | null;
  installationRole: InstallationRole | null;
}
