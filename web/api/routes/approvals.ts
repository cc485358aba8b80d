import { z } from 'zod';
import { approvalSchema, approvalStatuses, claimApprovalSchema, commentApprovalSchema, decideApprovalSchema } from '#schemas/approval.ts';
import { idSchema } from '#schemas/ids.ts';
import { claimApproval, commentApproval, releaseApproval } from '#services/approvals/claim.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { listApprovals, readApproval } from '#services/approvals/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, json, type Route } from '../route.ts';
import { idParams, listOf, pageQuery } from '../shapes.ts';

const referenceSchema = z.object({ approvalId: z.string() });

export const approvalRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/approvals',
    summary: 'Approvals, newest first',
    access: { permission: 'approvals:read' },
    query: z.strictObject({ ...pageQuery, status: z.enum(approvalStatuses).optional(), run: idSchema('run').optional() }),
    responses: { 200: listOf(approvalSchema) },
    handler: async ({ principal, query }) => {
      const filter = { status: query.status ?? null, runId: query.run ?? null, cursor: query.cursor ?? null, limit: query.limit };
      return json(await inWorkspaceOf(dependencies, principal, (transaction) => listApprovals(transaction, filter)));
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/approvals/{id}',
    summary: 'One approval, with the arguments that a decision is bound to',
    access: { permission: 'approvals:read' },
    params: idParams('approval'),
    responses: { 200: approvalSchema },
    handler: async ({ principal, params }) => json(await inWorkspaceOf(dependencies, principal, (transaction) => readApproval(transaction, params.id))),
  }),
  defineRoute({
    method: 'post',
    path: '/v1/approvals/{id}/decisions',
    summary: 'Approve or deny exactly the arguments that were shown; or approve others in their place, with `arguments`',
    access: { permission: 'approvals:decide' },
    params: idParams('approval'),
    body: decideApprovalSchema,
    // Edited arguments may be as large as a step's input is.
    bodyBytes: 9_000_000,
    responses: { 200: approvalSchema },
    examples: {
      body: { decision: 'approve', argumentsDigest: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', reason: 'Read, and as agreed.' },
    },
    handler: async (call) => {
      const { principal, params, body } = call;
      const approval = await inWorkspaceOf(dependencies, principal, async (transaction) => {
        // First: an equal request that comes at the same time waits here, and is then answered as the repeat it is.
        await call.recordEffect(transaction, { status: 200, reference: { approvalId: params.id } });
        return decideApproval(transaction, principal, params.id, body, {
          listTools: dependencies.listTools,
          validateJson: dependencies.checkJson,
        });
      });
      dependencies.nudgeOutbox();
      return json(approval);
    },
    replay: async (reference, { principal }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => readApproval(transaction, referenceSchema.parse(reference).approvalId))),
  }),
  defineRoute({
    method: 'post',
    path: '/v1/approvals/{id}/claim',
    summary: 'Say that you look at it: for so long nobody else can approve',
    access: { permission: 'approvals:decide' },
    params: idParams('approval'),
    body: claimApprovalSchema,
    examples: { body: { forMs: 600_000 } },
    responses: { 200: approvalSchema },
    handler: async ({ principal, params, body }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => claimApproval(transaction, principal, params.id, body.forMs))),
  }),
  defineRoute({
    method: 'post',
    path: '/v1/approvals/{id}/release',
    summary: 'End your claim; as an admin, anybody’s',
    access: { permission: 'approvals:decide' },
    params: idParams('approval'),
    responses: { 200: approvalSchema },
    handler: async ({ principal, params }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => releaseApproval(transaction, principal, params.id))),
  }),
  defineRoute({
    method: 'post',
    path: '/v1/approvals/{id}/comments',
    summary: 'Add to the discussion; decides nothing',
    access: { permission: 'approvals:comment' },
    params: idParams('approval'),
    body: commentApprovalSchema,
    examples: { body: { text: 'I asked the team; answer by noon.' } },
    responses: { 200: approvalSchema },
    handler: async (call) => {
      const { principal, params, body } = call;
      return json(
        await inWorkspaceOf(dependencies, principal, async (transaction) => {
          await call.recordEffect(transaction, { status: 200, reference: { approvalId: params.id } });
          return commentApproval(transaction, principal, params.id, body.text);
        }),
      );
    },
    replay: async (reference, { principal }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => readApproval(transaction, referenceSchema.parse(reference).approvalId))),
  }),
];
