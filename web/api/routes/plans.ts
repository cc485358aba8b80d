import { z } from 'zod';
import { withLanguageServerLine } from '#core/plan/language-server.ts';
import { faultDetailSchema } from '#schemas/fault.ts';
import { diffPlansSchema, planDiffSchema } from '#schemas/plan-diff.ts';
import { planAmongOthersSchema, planTextSchema } from '#schemas/plan-text.ts';
import { planSummarySchema, planVersionSchema } from '#schemas/plan-version.ts';
import { priceCurrency } from '#services/models/prices.ts';
import { diffSides } from '#services/plans/diff.ts';
import { listPlans, listPlanVersions, readPlanVersion } from '#services/plans/read.ts';
import { checkText } from '#services/plans/called-plans.ts';
import { removePlan } from '#services/plans/remove.ts';
import { assertValid, savePlan } from '#services/plans/save.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, empty, json, type Route } from '../route.ts';
import { listOf, pageQuery, planNameParams } from '../shapes.ts';

/** A plan of 1 MB is accepted, in JSON it may be twice as long; what is larger than a plan may be gets the plan's own fault up to here. */
const planBody = { body: planTextSchema, bodyFormats: ['json', 'yaml'], bodyBytes: 4_000_000 } as const;

const checkedBody = { ...planBody, body: planAmongOthersSchema, bodyBytes: 8_000_000 };

const versionParams = planNameParams.extend({ version: z.coerce.number().int().min(1).max(999_999_999) });

export const planRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'post',
    path: '/v1/plans',
    summary: 'Save a plan as the next version of its name; equal content gives the version that has it',
    access: { permission: 'plans:write' },
    ...planBody,
    examples: { body: { source: 'plan: hello\nsteps:\n  greet: { transform: { text: "hello" } }\n', format: 'yaml' } },
    responses: { 201: planVersionSchema, 200: planVersionSchema },
    handler: async ({ principal, body }) => {
      const plan = assertValid(await checkText(dependencies.database, dependencies.compile, { workspaceId: principal.workspaceId, ...body }));
      const source = body.format === 'yaml' ? withLanguageServerLine(body.source, dependencies.planSchemaUrl) : body.source;
      const saved = await inWorkspaceOf(dependencies, principal, (transaction) =>
        savePlan(transaction, { workspaceId: principal.workspaceId, actor: principal.principalId, source, plan }),
      );
      return json(saved.version, saved.created ? 201 : 200, { Location: `/v1/plans/${saved.version.name}/versions/${saved.version.version}` });
    },
  }),
  defineRoute({
    method: 'post',
    path: '/v1/plans/validate',
    summary: 'Check a plan, `beside` others that are to be saved with it; executes and saves nothing',
    access: { permission: 'plans:read' },
    ...checkedBody,
    examples: { body: { source: 'plan: hello\nsteps:\n  greet: { transform: { text: "hello" } }\n', format: 'yaml' } },
    responses: { 200: z.object({ valid: z.boolean(), errors: z.array(faultDetailSchema), name: z.string().nullable(), digest: z.string().nullable() }) },
    handler: async ({ principal, body }) => {
      const verdict = await checkText(dependencies.database, dependencies.compile, { workspaceId: principal.workspaceId, ...body });
      if (!verdict.ok) return json({ valid: false, errors: verdict.faults, name: null, digest: null });
      return json({ valid: true, errors: [], name: verdict.plan.name, digest: verdict.plan.digest });
    },
  }),
  defineRoute({
    method: 'post',
    path: '/v1/plans/diff',
    summary: 'What differs between two plans, saved ones or texts: steps, bounds, tools, approvals, cost; executes and saves nothing',
    access: { permission: 'plans:read' },
    body: diffPlansSchema,
    bodyBytes: 8_000_000,
    examples: { body: { from: 'hello@1', to: 'hello' } },
    responses: { 200: planDiffSchema },
    handler: async ({ principal, body }) => {
      const effects = new Map(dependencies.listTools().map(({ name, effect }) => [name, effect]));
      const installed = { effects, pricing: dependencies.priceModel, currency: priceCurrency };
      return json(await diffSides({ ...dependencies, installed }, { workspaceId: principal.workspaceId, ...body }));
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/plans',
    summary: 'Plans with their newest version, by name',
    access: { permission: 'plans:read' },
    query: z.strictObject(pageQuery),
    responses: { 200: listOf(planSummarySchema) },
    handler: async ({ principal, query }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => listPlans(transaction, { cursor: query.cursor ?? null, limit: query.limit }))),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/plans/{name}',
    summary: 'The newest version of a plan',
    access: { permission: 'plans:read' },
    params: planNameParams,
    responses: { 200: planVersionSchema },
    handler: async ({ principal, params }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => readPlanVersion(transaction, params.name, null))),
  }),
  defineRoute({
    method: 'delete',
    path: '/v1/plans/{name}',
    summary: 'Remove a plan: no run of it starts any more; its versions stay, and saving it brings it back. Refused while it is in use, with its users listed',
    access: { permission: 'plans:write' },
    params: planNameParams,
    responses: { 204: null },
    handler: async ({ principal, params }) => {
      await inWorkspaceOf(dependencies, principal, (transaction) =>
        removePlan(transaction, { workspaceId: principal.workspaceId, actor: principal.principalId, name: params.name }),
      );
      return empty();
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/plans/{name}/versions',
    summary: 'The versions of a plan, newest first',
    access: { permission: 'plans:read' },
    params: planNameParams,
    query: z.strictObject(pageQuery),
    responses: { 200: listOf(planSummarySchema) },
    handler: async ({ principal, params, query }) =>
      json(
        await inWorkspaceOf(dependencies, principal, (transaction) =>
          listPlanVersions(transaction, params.name, { cursor: query.cursor ?? null, limit: query.limit }),
        ),
      ),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/plans/{name}/versions/{version}',
    summary: 'One version of a plan',
    access: { permission: 'plans:read' },
    params: versionParams,
    responses: { 200: planVersionSchema },
    handler: async ({ principal, params }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => readPlanVersion(transaction, params.name, params.version))),
  }),
];
