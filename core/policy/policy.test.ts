import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { permissions, permissionsOfKey, permissionsOfRoles, roles, rolesThatGrant } from './permissions.ts';
import { can, meetsFrom, type Principal } from './principal.ts';

const someRoles = fc.subarray([...roles], { minLength: 1 });

describe('roles', () => {
  it('give nothing to nobody, everything to the owner', () => {
    expect(permissionsOfRoles([]).size).toBe(0);
    expect([...permissionsOfRoles(['owner'])].toSorted()).toEqual([...permissions].toSorted());
  });

  it('keep deciding from operators, and starting from approvers', () => {
    expect(permissionsOfRoles(['operator']).has('approvals:decide')).toBe(false);
    expect(permissionsOfRoles(['approver']).has('runs:start')).toBe(false);
    expect(permissionsOfRoles(['operator', 'approver'])).toEqual(new Set([...permissionsOfRoles(['operator']), ...permissionsOfRoles(['approver'])]));
  });

  it('delete only as owner, change settings only as admin', () => {
    expect(rolesThatGrant('runs:delete')).toEqual(['owner']);
    expect(rolesThatGrant('settings:write')).toEqual(['admin', 'owner']);
  });

  it('meet `from` by the role or one that includes it', () => {
    expect(meetsFrom(['admin'], 'role:approver')).toBe(true);
    expect(meetsFrom(['operator'], 'role:approver')).toBe(false);
    expect(meetsFrom(['owner'], 'anyone')).toBe(false);
    expect(meetsFrom(['owner'], 'role:')).toBe(false);
  });
});

describe('keys', () => {
  it('never exceed their owner', () => {
    fc.assert(
      fc.property(someRoles, fc.option(fc.subarray([...permissions])), fc.constantFrom('api_key' as const, 'owner_key' as const), (held, scopes, kind) => {
        const own = permissionsOfRoles(held);
        for (const permission of permissionsOfKey({ kind, scopes, roles: held })) expect(own.has(permission)).toBe(true);
      }),
    );
  });

  it('decide only when that is granted by name, but for the owner’s local key', () => {
    expect(permissionsOfKey({ kind: 'api_key', scopes: null, roles: ['owner'] }).has('approvals:decide')).toBe(false);
    expect(permissionsOfKey({ kind: 'api_key', scopes: ['approvals:decide'], roles: ['owner'] }).has('approvals:decide')).toBe(true);
    expect(permissionsOfKey({ kind: 'api_key', scopes: ['approvals:decide'], roles: ['viewer'] }).has('approvals:decide')).toBe(false);
    expect(permissionsOfKey({ kind: 'owner_key', scopes: null, roles: ['owner'] }).has('approvals:decide')).toBe(true);
  });

  it('are asked by `can`', () => {
    const principal: Principal = {
      principalId: 'prn_1',
      name: 'owner',
      workspaceId: 'ws_1',
      credentialId: 'key_1',
      responsible: 'prn_1',
      roles: ['owner'],
      permissions: permissionsOfKey({ kind: 'api_key', scopes: ['runs:read'], roles: ['owner'] }),
    };
    expect(can(principal, 'runs:read')).toBe(true);
    expect(can(principal, 'self:read')).toBe(true);
    expect(can(principal, 'runs:start')).toBe(false);
  });
});
