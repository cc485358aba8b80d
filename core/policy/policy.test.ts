import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { can, decide, explainDenial } from './can.ts';
import { isOfInstallation, neverForPrograms, permissions, permissionsOf, permissionsOfRoles, type Rights, roles, rolesThatGrant } from './permissions.ts';
import type { Principal } from './principal.ts';
import { signInDelayMs } from './sign-in-delay.ts';

const someRoles = fc.subarray([...roles], { minLength: 1 });
const someRights: fc.Arbitrary<Rights> = fc.record({
  via: fc.constantFrom('owner_key', 'session', 'api_key', 'token'),
  scopes: fc.option(fc.subarray([...permissions])),
  roles: fc.subarray([...roles]),
  installationRole: fc.constantFrom(null, 'owner' as const),
});

const aPrincipal = (rights: Partial<Rights>, more: Partial<Principal> = {}): Principal => {
  const whole: Rights = { via: 'api_key', scopes: null, roles: [], installationRole: null, ...rights };
  return {
    principalId: 'prn_1',
    name: 'somebody',
    workspaceId: 'ws_1',
    credentialId: 'key_1',
    responsible: 'prn_1',
    permissions: permissionsOf(whole),
    ...whole,
    ...more,
  };
};

describe('roles', () => {
  it('give nothing to nobody, everything in its workspace to the owner, nothing beyond it', () => {
    expect(permissionsOfRoles([]).size).toBe(0);
    expect([...permissionsOfRoles(['owner'])].toSorted()).toEqual(permissions.filter((permission) => !isOfInstallation(permission)).toSorted());
  });

  it('keep deciding from operators, and starting from approvers', () => {
    expect(permissionsOfRoles(['operator']).has('approvals:decide')).toBe(false);
    expect(permissionsOfRoles(['approver']).has('runs:start')).toBe(false);
    expect(permissionsOfRoles(['operator', 'approver'])).toEqual(new Set([...permissionsOfRoles(['operator']), ...permissionsOfRoles(['approver'])]));
  });

  it('delete only as owner, change settings only as admin', () => {
    expect(rolesThatGrant('runs:delete')).toEqual(['owner']);
    expect(rolesThatGrant('settings:write')).toEqual(['admin', 'owner']);
    expect(rolesThatGrant('people:write')).toEqual([]);
  });
});

describe('credentials', () => {
  it('never exceed their owner, and a narrower one never exceeds a wider one', () => {
    fc.assert(
      fc.property(someRights, someRoles, (rights, more) => {
        const own = permissionsOf({ ...rights, via: 'owner_key', scopes: null });
        const held = permissionsOf(rights);
        for (const permission of held) expect(own.has(permission)).toBe(true);
        for (const permission of held) expect(permissionsOf({ ...rights, roles: [...rights.roles, ...more] }).has(permission)).toBe(true);
      }),
    );
  });

  it('of programs never become the person, whatever their scopes', () => {
    fc.assert(
      fc.property(someRights, (rights) => {
        if (rights.via === 'owner_key' || rights.via === 'session') return;
        for (const permission of neverForPrograms) expect(permissionsOf(rights).has(permission)).toBe(false);
      }),
    );
  });

  it('of programs decide, manage members and reach beyond the workspace only when their scopes name it', () => {
    const owner = { roles: ['owner' as const], installationRole: 'owner' as const };
    for (const permission of ['approvals:decide', 'rules:write', 'members:write', 'people:write', 'workspaces:write'] as const) {
      expect(permissionsOf({ via: 'token', scopes: null, ...owner }).has(permission)).toBe(false);
      expect(permissionsOf({ via: 'api_key', scopes: [permission], ...owner }).has(permission)).toBe(true);
      expect(permissionsOf({ via: 'api_key', scopes: [permission], roles: ['viewer'], installationRole: null }).has(permission)).toBe(false);
      expect(permissionsOf({ via: 'owner_key', scopes: null, ...owner }).has(permission)).toBe(true);
      expect(permissionsOf({ via: 'session', scopes: null, ...owner }).has(permission)).toBe(true);
    }
  });

  it('open a session by themselves only as the owner’s local key', () => {
    const owner = { scopes: ['self:open'], roles: ['owner' as const], installationRole: 'owner' as const };
    expect((['owner_key', 'session', 'api_key', 'token'] as const).filter((via) => permissionsOf({ ...owner, via }).has('self:open'))).toEqual(['owner_key']);
  });
});

describe('can', () => {
  it('asks the credential, then the thing', () => {
    const operator = aPrincipal({ via: 'session', roles: ['operator'] });
    expect(can(operator, 'runs:start')).toBe(true);
    expect(can(operator, 'keys:write', { kind: 'key', workspaceId: 'ws_1', ownerId: 'prn_1' })).toBe(true);
    expect(decide(operator, 'keys:write', { kind: 'key', workspaceId: 'ws_1', ownerId: 'prn_2' })).toEqual({ allowed: false, obstacle: 'not_yours' });
    expect(decide(operator, 'keys:write', { kind: 'key', workspaceId: 'ws_2', ownerId: 'prn_1' })).toEqual({ allowed: false, obstacle: 'workspace' });
  });

  it('gives and takes only roles that one holds, by inclusion', () => {
    const admin = aPrincipal({ via: 'session', roles: ['admin'] });
    const member = (held: Principal['roles'], wanted: Principal['roles']) => ({ kind: 'member' as const, workspaceId: 'ws_1', held, wanted });
    expect(can(admin, 'members:write', member(['operator'], ['approver']))).toBe(true);
    expect(decide(admin, 'members:write', member(['owner'], ['viewer']))).toEqual({ allowed: false, obstacle: 'beyond_yours' });
    expect(decide(admin, 'members:write', member(['viewer'], ['owner']))).toEqual({ allowed: false, obstacle: 'beyond_yours' });
  });

  it('says what stands in the way, and each obstacle says what helps', () => {
    const owner = { roles: ['owner' as const], installationRole: null };
    const obstacles = [
      [aPrincipal({ roles: ['viewer'] }), 'runs:start', 'role'],
      [aPrincipal({ ...owner, scopes: ['runs:read'] }), 'runs:start', 'scope'],
      [aPrincipal({ ...owner, scopes: null }), 'approvals:decide', 'by_name'],
      [aPrincipal({ ...owner, scopes: null }), 'self:secure', 'program'],
      [aPrincipal({ ...owner, via: 'session' }), 'people:write', 'role'],
    ] as const;
    for (const [principal, action, obstacle] of obstacles) {
      expect(decide(principal, action)).toEqual({ allowed: false, obstacle });
      const { message, fix } = explainDenial(action, obstacle);
      expect([message, fix].every((text) => text.length > 20)).toBe(true);
    }
  });
});

describe('a sign-in', () => {
  it('is free for who mistypes, slower for who guesses, and never locked', () => {
    expect([0, 1, 2].map(signInDelayMs)).toEqual([0, 0, 0]);
    fc.assert(
      fc.property(fc.nat(10_000), (failures) => {
        expect(signInDelayMs(failures + 1)).toBeGreaterThanOrEqual(signInDelayMs(failures));
        expect(signInDelayMs(failures)).toBeLessThanOrEqual(15_000);
      }),
    );
  });
});
