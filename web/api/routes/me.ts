import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import { decide, explainDenial } from '#core/policy/can.ts';
import { permissions, roles, rolesThatGrant } from '#core/policy/permissions.ts';
import {
  loginSchema,
  madeLinkSchema,
  newPasswordSchema,
  personNameSchema,
  preferencesSchema,
  profileSchema,
  sessionSchema,
  typedPasswordSchema,
} from '#schemas/people.ts';
import { findAdministrators } from '#services/credentials/administrators.ts';
import { changePassword, type Preferences, readPreferences, readProfile, renamePerson, writePreferences } from '#services/people/profile.ts';
import { listSessions, revokeSession } from '#services/people/sessions.ts';
import { hasAnybodySignedIn, makeSignInLink } from '#services/people/spend.ts';
import { listWorkspaces } from '#services/people/workspaces.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { defineRoute, empty, json, type Reply, type Route } from '../route.ts';
import { idParams, listOf } from '../shapes.ts';

const meSchema = z.object({
  principal: z.object({ id: z.string(), name: z.string() }),
  /** Null: a person who belongs to no workspace. */
  workspace: z.object({ id: z.string(), slug: z.string(), name: z.string() }).nullable(),
  roles: z.array(z.enum(roles)),
  permissions: z.array(z.enum(permissions)),
  via: z.enum(['owner_key', 'session', 'api_key', 'token']),
  /** What the credential is narrowed to; null: not narrowed. */
  scopes: z.array(z.string()).nullable(),
  installationRole: z.enum(['owner']).nullable(),
  login: z.string().nullable(),
  version: z.string(),
});

const ownPermissionsSchema = z.object({ permissions: z.array(z.enum(permissions)), roles: z.array(z.enum(roles)), scopes: z.array(z.string()).nullable() });

const verdictSchema = z.object({
  action: z.enum(permissions),
  allowed: z.boolean(),
  /** What stands in the way; null: nothing. */
  obstacle: z.string().nullable(),
  message: z.string(),
  fix: z.string().nullable(),
  /** The roles that would give it. */
  roles: z.array(z.enum(roles)),
  administrators: z.array(z.string()),
});

const passwordBody = z.strictObject({
  currentPassword: typedPasswordSchema.optional(),
  password: newPasswordSchema,
  login: loginSchema.optional(),
});

export const meRoutes = (dependencies: ApiDependencies): Route[] => {
  const { system, forget } = dependencies;
  return [
    defineRoute({
      method: 'get',
      path: '/v1/me',
      aliases: ['/api/v1/user/profile'],
      summary: 'Who this credential is, and what it may do',
      access: { permission: 'self:read' },
      workspace: 'optional',
      responses: { 200: meSchema },
      handler: async ({ principal }) => {
        const [workspaces, { login }] = await Promise.all([listWorkspaces(system, principal.principalId), readProfile(system.sql, principal.principalId)]);
        const workspace = workspaces.find(({ id }) => id === principal.workspaceId);
        return json({
          principal: { id: principal.principalId, name: principal.name },
          workspace: workspace === undefined ? null : { id: workspace.id, slug: workspace.slug, name: workspace.name },
          roles: principal.roles,
          permissions: [...principal.permissions].toSorted(),
          via: principal.via,
          scopes: principal.scopes,
          installationRole: principal.installationRole,
          login,
          version: dependencies.version,
        });
      },
    }),
    defineRoute({
      method: 'patch',
      path: '/v1/me',
      aliases: ['/api/v1/user/profile'],
      summary: 'Change how others see you',
      access: { permission: 'self:write' },
      workspace: 'optional',
      body: z.strictObject({ name: personNameSchema }),
      examples: { body: { name: 'Ada' } },
      responses: { 200: profileSchema },
      handler: async ({ principal, body }) => {
        const profile = await renamePerson(system, principal, body.name);
        forget(principal.principalId);
        return json(profile);
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/me/permissions',
      aliases: ['/api/v1/user/permissions'],
      summary: 'What this credential may do in its workspace',
      access: { permission: 'self:read' },
      workspace: 'optional',
      responses: { 200: ownPermissionsSchema },
      handler: async ({ principal }) => json({ permissions: [...principal.permissions].toSorted(), roles: principal.roles, scopes: principal.scopes }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/me/may',
      summary: 'May I? And if not: why, what would help, and who can grant it',
      access: { permission: 'self:read' },
      workspace: 'optional',
      query: z.strictObject({ action: z.enum(permissions) }),
      responses: { 200: verdictSchema },
      handler: async ({ principal, query: { action } }) => {
        const verdict = decide(principal, action);
        const told = verdict.allowed ? { message: `You may: ${action}.`, fix: null } : explainDenial(action, verdict.obstacle);
        const administrators = verdict.allowed ? [] : await findAdministrators(system, principal.workspaceId, action);
        return json({
          action,
          allowed: verdict.allowed,
          obstacle: verdict.allowed ? null : verdict.obstacle,
          ...told,
          roles: rolesThatGrant(action),
          administrators,
        });
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/me/preferences',
      aliases: ['/api/v1/user/preferences'],
      summary: 'What your clients keep for you; kOS reads nothing from it',
      access: { permission: 'self:read' },
      workspace: 'optional',
      responses: { 200: preferencesSchema },
      handler: async ({ principal }) => showPreferences(await readPreferences(system, principal.principalId)),
    }),
    defineRoute({
      method: 'put',
      path: '/v1/me/preferences',
      aliases: ['/api/v1/user/preferences'],
      summary: 'Replace what your clients keep for you; with `If-Match`, only if it is still what was read under that ETag',
      access: { permission: 'self:write' },
      workspace: 'optional',
      body: preferencesSchema,
      bodyBytes: 64_000,
      examples: { body: { theme: 'dark' } },
      responses: { 200: preferencesSchema },
      handler: async ({ principal, body, header }) =>
        showPreferences(await writePreferences(system, principal.principalId, { preferences: body, readDigest: digestOf(header('if-match')) })),
    }),
    defineRoute({
      method: 'put',
      path: '/v1/me/password',
      summary: 'Set your password, and your login where you have none; every other session and token of yours ends',
      access: { permission: 'self:secure' },
      workspace: 'optional',
      body: passwordBody,
      examples: { body: { currentPassword: 'a few words do well', password: 'and so do other ones' } },
      responses: { 200: profileSchema },
      handler: async ({ principal, body }) => {
        const profile = await changePassword(system, principal, body);
        forget(principal.principalId);
        return json(profile);
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/me/sessions',
      summary: 'Your open sessions, the one used last first',
      access: { permission: 'self:secure' },
      workspace: 'optional',
      responses: { 200: listOf(sessionSchema) },
      handler: async ({ principal }) => json({ items: await listSessions(system, principal.principalId, principal.credentialId), nextCursor: null }),
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/me/sessions/{id}',
      summary: 'End a session of yours, its open streams included',
      access: { permission: 'self:secure' },
      workspace: 'optional',
      params: idParams('session'),
      responses: { 204: null },
      handler: async ({ principal, params }) => {
        await revokeSession(system, principal.principalId, params.id);
        forget(principal.principalId);
        return empty();
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/me/links',
      summary: 'A link that signs you in in a browser, once, within 15 minutes (kai open)',
      access: { permission: 'self:open' },
      body: z.strictObject({ onlyFirst: z.boolean().default(false) }),
      examples: { body: { onlyFirst: false } },
      responses: { 201: madeLinkSchema },
      handler: async ({ principal, body }) => {
        if (body.onlyFirst && (await hasAnybodySignedIn(system))) throw somebodySignedIn();
        return json(await makeSignInLink(system, principal, dependencies.publicUrl), 201);
      },
    }),
  ];
};

const showPreferences = ({ preferences, digest }: Preferences): Reply => json(preferences, 200, { ETag: `"preferences-${digest}"` });

/** Null: none was sent. An ETag that this server never gave is the digest of nothing. */
const digestOf = (ifMatch: string | undefined): string | null =>
  ifMatch === undefined ? null : (/^(?:W\/)?"preferences-([0-9a-f]{64})"$/.exec(ifMatch.trim())?.[1] ?? '');

const somebodySignedIn = (): KosError =>
  new KosError({ code: 'somebody_signed_in', message: 'Somebody has signed in here before.', fix: 'A link for now: kai open', status: 409 });
