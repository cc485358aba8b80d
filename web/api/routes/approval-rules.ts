import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import { approvalRuleSchema, ruleNameSchema, ruleTrialSchema, setRuleSchema, testRuleSchema } from '#schemas/approval-rule.ts';
import { readRules } from '#services/approvals/read-rules.ts';
import { readRuleVersions, removeRule, setRule, tryRule } from '#services/approvals/rules.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, empty, json, type Route } from '../route.ts';
import { listOf } from '../shapes.ts';

const nameParams = z.object({ name: ruleNameSchema });

/** Rules are few: a workspace has 200 at most, so they come on one page. */
export const approvalRuleRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/approval-rules',
    summary: 'The rules that approve calls of tools, by name',
    access: { permission: 'rules:read' },
    responses: { 200: listOf(approvalRuleSchema) },
    handler: async ({ principal }) => json({ items: await inWorkspaceOf(dependencies, principal, ({ sql }) => readRules(sql)), nextCursor: null }),
  }),
  defineRoute({
    method: 'post',
    path: '/v1/approval-rules/test',
    summary: 'What a rule would have done to past approvals; changes nothing',
    access: { permission: 'rules:write' },
    body: testRuleSchema,
    responses: { 200: ruleTrialSchema },
    handler: async ({ principal, body }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => tryRule(transaction, body, dependencies.listTools(), dependencies.evaluator))),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/approval-rules/{name}',
    summary: 'Every version of a rule, newest first',
    access: { permission: 'rules:read' },
    params: nameParams,
    responses: { 200: listOf(approvalRuleSchema) },
    handler: async ({ principal, params }) => {
      const items = await inWorkspaceOf(dependencies, principal, (transaction) => readRuleVersions(transaction, params.name));
      const [newest] = items;
      return json({ items, nextCursor: null }, 200, newest === undefined || newest.removed ? {} : { ETag: etagOf(newest.version) });
    },
  }),
  defineRoute({
    method: 'put',
    path: '/v1/approval-rules/{name}',
    summary: 'Set a rule: its next version; to change one needs `If-Match` with the ETag of what was read',
    access: { permission: 'rules:write' },
    params: nameParams,
    body: setRuleSchema,
    responses: { 201: approvalRuleSchema, 200: approvalRuleSchema },
    handler: async ({ principal, params, body, header }) => {
      const version = versionOf(header('if-match')) ?? 0;
      const { rule, created } = await inWorkspaceOf(dependencies, principal, (transaction) =>
        setRule(transaction, principal, { name: params.name, version, draft: body }, dependencies.listTools()),
      );
      return json(rule, created ? 201 : 200, { ETag: etagOf(rule.version) });
    },
  }),
  defineRoute({
    method: 'delete',
    path: '/v1/approval-rules/{name}',
    summary: 'Remove a rule; its versions stay on the record. Needs `If-Match`',
    access: { permission: 'rules:write' },
    params: nameParams,
    responses: { 204: null },
    handler: async ({ principal, params, header }) => {
      const version = versionOf(header('if-match'));
      if (version === null) throw preconditionMissing();
      await inWorkspaceOf(dependencies, principal, (transaction) => removeRule(transaction, principal, params.name, version));
      return empty();
    },
  }),
];

const etagOf = (version: number): string => `"rule-${version}"`;

/** Null: none was sent. An ETag that this server never gave matches no version. */
function versionOf(ifMatch: string | undefined): number | null {
  if (ifMatch === undefined) return null;
  const version = /^(?:W\/)?"rule-([0-9]{1,9})"$/.exec(ifMatch.trim())?.[1];
  return version === undefined ? -1 : Number(version);
}

const preconditionMissing = (): KosError =>
  new KosError({
    code: 'precondition_missing',
    message: 'To remove a rule needs If-Match with the ETag of the rule as it was read.',
    fix: 'GET the rule, then repeat with its ETag.',
    status: 428,
  });
