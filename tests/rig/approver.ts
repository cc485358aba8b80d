import type { Principal } from '#core/policy/principal.ts';

/** Somebody who may decide approvals, and who has started nothing. */
export const approverOf = (workspaceId: string): Principal => ({
  principalId: 'prn_approver',
  name: 'approver',
  workspaceId,
  credentialId: 'key_test',
  responsible: 'prn_approver',
  roles: ['approver'],
  permissions: new Set(),
  via: 'api_key',
  scopes: null,
  installationRole: null,
});
