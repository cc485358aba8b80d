import { z } from 'zod';
import { approvalRuleSchema, ruleNameSchema, ruleTrialSchema, setRuleSchema, testRuleSchema } from '#schemas/approval-rule.ts';
import { readRules } from '#services/approvals/read-rules.ts';
import { readRuleVersions, removeRule, setRule, tryRule } from '#services/approvals/rules.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, empty, json, type Route } from '../route.ts';
import { listOf } from '../shapes.ts';
import { versionTags } from '../version-tag.ts';

const tags = versionTags('rule');
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
    examples: { body: { tool: 'fs.write', when: 'arguments.path.startsWith("drafts/")', limit: 100 } },
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
      return json({ items, nextCursor: null }, 200, newest === undefined || newest.removed ? {} : { ETag: tags.of(newest.version) });
    },
  }),
  defineRoute({
    method: 'put',
    path: '/v1/approval-rules/{name}',
    summary: 'Set a rule: its next version; to change one needs `If-Match` with the ETag of what was read',
    access: { permission: 'rules:write' },
    params: nameParams,
    body: setRuleSchema,
    examples: { body: { tool: 'fs.write', when: 'arguments.path.startsWith("drafts/")', description: 'Drafts can be written over.' } },
    responses: { 201: approvalRuleSchema, 200: approvalRuleSchema },
    handler: async ({ principal, params, body, header }) => {
      const version = tags.read(header('if-match')) ?? 0;
      const { rule, created } = await inWorkspaceOf(dependencies, principal, (transaction) =>
        setRule(transaction, principal, { name: params.name, version, draft: body }, dependencies.listTools()),
      );
      return json(rule, created ? 201 : 200, { ETag: tags.of(rule.version) });
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
      const version = tags.need(header('if-match'));
      await inWorkspaceOf(dependencies, principal, (transaction) => removeRule(transaction, principal, params.name, version));
      return empty();
    },
  }),
];
