import { z } from 'zod';
import { permissions } from '#core/policy/permissions.ts';
import {
  changeMemberSchema,
  changePersonSchema,
  invitationSchema,
  inviteSchema,
  keySchema,
  madeKeySchema,
  madeLinkSchema,
  memberSchema,
  personNameSchema,
  personSchema,
  workspaceSchema,
  workspaceSlugSchema,
} from '#schemas/people.ts';
import { KosError } from '#core/errors.ts';
import { invite, listInvitations, revokeInvitation } from '#services/people/invitations.ts';
import { listKeys, makeKey, revokeKey } from '#services/people/keys.ts';
import { changeMember, listMembers, readMember, removeMember } from '#services/people/members.ts';
import { changePerson, listPeople } from '#services/people/people.ts';
import { makeResetLink } from '#services/people/spend.ts';
import { listWorkspaces, makeWorkspace, renameWorkspace } from '#services/people/workspaces.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { defineRoute, empty, json, type Route } from '../route.ts';
import { idParams, listOf, pageQuery } from '../shapes.ts';

const pageOf = (query: { cursor?: string | undefined; limit: number }) => ({ cursor: query.cursor ?? null, limit: query.limit });

/** Who belongs to a workspace, and who is asked to. */
export const memberRoutes = (dependencies: ApiDependencies): Route[] => {
  const { system, forget, publicUrl } = dependencies;
  return [
    defineRoute({
      method: 'get',
      path: '/v1/members',
      summary: 'Members of this workspace',
      access: { permission: 'members:read' },
      query: z.strictObject(pageQuery),
      responses: { 200: listOf(memberSchema) },
      handler: async ({ principal, query }) => json(await listMembers(system, principal.workspaceId, pageOf(query))),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/members/{id}',
      summary: 'One member',
      access: { permission: 'members:read' },
      params: idParams('principal'),
      responses: { 200: memberSchema },
      handler: async ({ principal, params }) => json(await readMember(system.sql, principal.workspaceId, params.id)),
    }),
    defineRoute({
      method: 'patch',
      path: '/v1/members/{id}',
      summary: 'Give a member other roles, or keep them out for a while; roles beyond your own are refused',
      access: { permission: 'members:write' },
      params: idParams('principal'),
      body: changeMemberSchema,
      responses: { 200: memberSchema },
      examples: { body: { roles: ['admin'] } },
      handler: async ({ principal, params, body }) => {
        const member = await changeMember(system, principal, params.id, body);
        forget(params.id);
        return json(member);
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/members/{id}',
      summary: 'Remove a member from this workspace; their keys and tokens here end',
      access: { permission: 'members:write' },
      params: idParams('principal'),
      responses: { 204: null },
      handler: async ({ principal, params }) => {
        await removeMember(system, principal, params.id);
        forget(params.id);
        return empty();
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/invitations',
      summary: 'Invitations that can still be accepted',
      access: { permission: 'members:write' },
      query: z.strictObject(pageQuery),
      responses: { 200: listOf(invitationSchema) },
      handler: async ({ principal, query }) => json(await listInvitations(system, principal.workspaceId, pageOf(query))),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/invitations',
      summary: 'A link by which somebody becomes a member, good for 7 days; shown this once, and handed over by you',
      access: { permission: 'members:write' },
      body: inviteSchema,
      responses: { 201: madeLinkSchema },
      examples: { body: { login: 'ada@example.com', roles: ['operator', 'approver'] } },
      handler: async ({ principal, body }) => json(await invite(system, principal, publicUrl, body), 201),
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/invitations/{id}',
      summary: 'Take an invitation back',
      access: { permission: 'members:write' },
      params: idParams('link'),
      responses: { 204: null },
      handler: async ({ principal, params }) => {
        await revokeInvitation(system, principal, params.id);
        return empty();
      },
    }),
  ];
};

const makeKeyBody = z.strictObject({
  name: personNameSchema,
  scopes: z.array(z.enum(permissions)).min(1).max(permissions.length),
  /** Absent: it does not expire. */
  expiresInDays: z.int().min(1).max(3_650).optional(),
});

export const keyRoutes = ({ system, forget }: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/keys',
    summary: 'API keys of yours that are good; those of all members for who manages members',
    access: { permission: 'keys:read' },
    query: z.strictObject(pageQuery),
    responses: { 200: listOf(keySchema) },
    handler: async ({ principal, query }) => json(await listKeys(system, principal, pageOf(query))),
  }),
  defineRoute({
    method: 'post',
    path: '/v1/keys',
    summary: 'Make an API key of yours; it is shown this once, and may do what its scopes name and you may do yourself',
    access: { permission: 'keys:write' },
    body: makeKeyBody,
    responses: { 201: madeKeySchema },
    examples: { body: { name: 'ci', scopes: ['runs:start', 'runs:read'], expiresInDays: 90 } },
    handler: async ({ principal, body }) => json(await makeKey(system, principal, body), 201),
  }),
  defineRoute({
    method: 'delete',
    path: '/v1/keys/{id}',
    summary: 'Revoke an API key: refused everywhere within 5 s, open streams included',
    access: { permission: 'keys:write' },
    params: idParams('credential'),
    responses: { 204: null },
    handler: async ({ principal, params }) => {
      forget(await revokeKey(system, principal, params.id));
      return empty();
    },
  }),
];

/** Everybody in the installation: for its owner. */
export const peopleRoutes = ({ system, forget, publicUrl }: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/people',
    summary: 'Everybody in this installation, with their workspaces',
    access: { permission: 'people:read' },
    query: z.strictObject(pageQuery),
    responses: { 200: listOf(personSchema) },
    handler: async ({ query }) => json(await listPeople(system, pageOf(query))),
  }),
  defineRoute({
    method: 'patch',
    path: '/v1/people/{id}',
    summary: 'Disable somebody everywhere, or let them in again; make them an owner of the installation, or take that back',
    access: { permission: 'people:write' },
    params: idParams('principal'),
    body: changePersonSchema,
    examples: { body: { disabled: true } },
    responses: { 200: personSchema },
    handler: async ({ principal, params, body }) => {
      const person = await changePerson(system, principal, params.id, body);
      forget(params.id);
      return json(person);
    },
  }),
  defineRoute({
    method: 'post',
    path: '/v1/people/{id}/reset',
    summary: 'A link by which somebody sets a new password, good for 24 hours; shown this once, and handed over by you',
    access: { permission: 'people:write' },
    params: idParams('principal'),
    responses: { 201: madeLinkSchema },
    handler: async ({ principal, params }) => json(await makeResetLink(system, principal, params.id, publicUrl), 201),
  }),
];

export const workspacesRoutes = ({ system, forget }: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/workspaces',
    summary: 'The workspaces that you belong to, and your roles there',
    access: { permission: 'self:read' },
    workspace: 'optional',
    responses: { 200: listOf(workspaceSchema) },
    handler: async ({ principal }) => json({ items: await listWorkspaces(system, principal.principalId), nextCursor: null }),
  }),
  defineRoute({
    method: 'post',
    path: '/v1/workspaces',
    summary: 'Make a workspace; you own it',
    access: { permission: 'workspaces:write' },
    workspace: 'optional',
    body: z.strictObject({ slug: workspaceSlugSchema, name: personNameSchema }),
    examples: { body: { slug: 'research', name: 'Research' } },
    responses: { 201: workspaceSchema },
    handler: async ({ principal, body }) => {
      const workspace = await makeWorkspace(system, principal, body);
      forget(principal.principalId);
      return json(workspace, 201);
    },
  }),
  defineRoute({
    method: 'patch',
    path: '/v1/workspaces/{id}',
    summary: 'Rename the workspace of this request; its slug stays, since it stands in addresses',
    access: { permission: 'settings:write' },
    params: idParams('workspace'),
    body: z.strictObject({ name: personNameSchema }),
    examples: { body: { name: 'Research and development' } },
    responses: { 200: workspaceSchema },
    handler: async ({ principal, params, body }) => {
      if (params.id !== principal.workspaceId)
        throw new KosError({
          code: 'workspace_not_found',
          message: `This request is not made in the workspace ${params.id}.`,
          fix: 'Send it as Kos-Workspace, too.',
          status: 404,
        });
      return json(await renameWorkspace(system, principal, body.name));
    },
  }),
];
