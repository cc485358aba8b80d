import { matchRules, refusalOf, ruleFaults } from '#core/approval/rules.ts';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { ApprovalArgument } from '#schemas/approval.ts';
import type { ApprovalRule, RuleDraft, RuleTrial, SetRule, TestRule } from '#schemas/approval-rule.ts';
import type { Transaction } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import type { ToolDescription } from '#services/tools/registry.ts';
import { alwaysAsks, conditionBy, type RuleMeans } from './match.ts';
import { readRules, type RuleRow, showRule } from './read-rules.ts';

/** Every version of a rule, newest first. Throws KosError `rule_not_found`. */
export async function readRuleVersions({ sql }: Transaction, name: string): Promise<ApprovalRule[]> {
  const rows = await sql<RuleRow[]>`
    select name, version, tool, condition, description, removed, created_by, created_at from kos.approval_rules where name = ${name} order by version desc`;
  if (rows.length === 0) throw ruleNotFound(name);
  return rows.map(showRule);
}

const mostRules = 200;

/**
 * Sets a rule: its next version. What is said already is not said again. Approvals that are open stay as they are. Throws KosError `rule_invalid` (422),
 * `rule_changed` (412) when its newest version is not `version` (0: there is none, or it was removed), `too_many_rules` (409).
 */
export async function setRule(
  transaction: Transaction,
  principal: Principal,
  request: { name: string; version: number; draft: SetRule },
  tools: ToolDescription[],
): Promise<{ rule: ApprovalRule; created: boolean }> {
  const { name, version, draft } = request;
  assertSound(draft, tools);
  const newest = await lockRule(transaction, principal.workspaceId, name);
  assertVersion(newest, version);
  const same =
    newest?.removed === false && newest.tool === draft.tool && newest.when === (draft.when ?? null) && newest.description === (draft.description ?? null);
  if (same) return { rule: newest, created: false };
  if (newest?.removed !== false && (await readRules(transaction.sql)).length >= mostRules) {
    throw new KosError({
      code: 'too_many_rules',
      message: `This workspace has ${mostRules} rules, as many as there may be.`,
      fix: 'Remove one: kai approval rule list',
      status: 409,
    });
  }
  const rule = await insertVersion(transaction, principal, { name, version: (newest?.version ?? 0) + 1, draft, removed: false });
  return { rule, created: true };
}

/** Its last version says that it is no more. Throws KosError `rule_not_found`, `rule_changed` (412). */
export async function removeRule(transaction: Transaction, principal: Principal, name: string, version: number): Promise<void> {
  const newest = await lockRule(transaction, principal.workspaceId, name);
  if (newest === null || newest.removed) throw ruleNotFound(name);
  assertVersion(newest, version);
  const { tool, when, description } = newest;
  const draft = { tool, ...(when === null ? {} : { when }), ...(description === null ? {} : { description }) };
  await insertVersion(transaction, principal, { name, version: newest.version + 1, draft, removed: true });
}

async function lockRule(transaction: Transaction, workspaceId: string, name: string): Promise<ApprovalRule | null> {
  const { sql } = transaction;
  // One change at a time, the first one of a name included, for which there is no row to lock yet.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`approval rules ${workspaceId}`}, 0))`;
  const [row] = await sql<RuleRow[]>`
    select name, version, tool, condition, description, removed, created_by, created_at from kos.approval_rules where name = ${name} order by version desc limit 1`;
  return row === undefined ? null : showRule(row);
}

function assertVersion(newest: ApprovalRule | null, version: number): void {
  const current = newest === null || newest.removed ? 0 : newest.version;
  if (current === version) return;
  throw new KosError({
    code: 'rule_changed',
    message: current === 0 ? 'There is no such rule any more.' : `The rule is at version ${current} by now, not at ${version}.`,
    fix: 'Read it again, then repeat the change on what it is now.',
    status: 412,
    extra: { currentVersion: current },
  });
}

async function insertVersion(
  { sql }: Transaction,
  { workspaceId, principalId }: Principal,
  { name, version, draft, removed }: { name: string; version: number; draft: SetRule; removed: boolean },
): Promise<ApprovalRule> {
  const [row] = await sql<RuleRow[]>`
    insert into kos.approval_rules (workspace_id, name, version, tool, condition, description, removed, created_by)
    values (${workspaceId}, ${name}, ${version}, ${draft.tool}, ${draft.when ?? null}, ${draft.description ?? null}, ${removed}, ${principalId})
    returning name, version, tool, condition, description, removed, created_by, created_at`;
  if (row === undefined) throw new Error(`The rule ${name} was not written.`);
  const data = { version, tool: draft.tool, when: draft.when ?? null };
  await recordAudit(sql, [{ workspaceId, actor: principalId, action: removed ? 'rule.remove' : 'rule.set', subject: `rule:${name}`, data }]);
  return showRule(row);
}

/** Throws KosError `rule_invalid` (422) with every fault. */
function assertSound(draft: RuleDraft, tools: ToolDescription[]): void {
  const faults = ruleFaults(draft, tools);
  if (faults.length === 0) return;
  throw new KosError({
    code: 'rule_invalid',
    message: `The rule cannot be used: ${faults[0]?.message ?? ''}.`,
    fix: 'Correct it; try it without setting it: kai approval rule test',
    status: 422,
    details: faults,
  });
}

/** What the rule alone would have done to the newest approvals; changes nothing. Throws KosError `rule_invalid` (422). */
export async function tryRule({ sql }: Transaction, draft: TestRule, tools: ToolDescription[], evaluator: RuleMeans['evaluator']): Promise<RuleTrial> {
  assertSound(draft, tools);
  const rows = await sql<PastApproval[]>`
    select id as "approvalId", run_id as "runId", step_path as "stepPath", status, required, four_eyes as "fourEyes", coalesce(approvers, jsonb_build_array("from")) as approvers, arguments
    from kos.approvals order by created_at desc, id desc limit ${draft.limit}`;
  const byName = new Map(tools.map((tool) => [tool.name, tool]));
  const asks = alwaysAsks({ get: (name) => (byName.get(name)?.alwaysAsk === true ? { alwaysAsk: true } : byName.has(name) ? {} : undefined) });
  const rule: ApprovalRule = {
    name: 'trial',
    version: 0,
    tool: draft.tool,
    when: draft.when ?? null,
    description: null,
    removed: false,
    createdBy: '',
    createdAt: '',
  };
  const trial: RuleTrial = { examined: rows.length, wouldApprove: 0, became: {}, failed: 0, sample: [] };
  for (const row of rows) {
    if (refusalOf(row, asks) !== null) continue;
    const match = await matchRules([rule], row.arguments, conditionBy(evaluator));
    if (match.failed.length > 0) trial.failed += 1;
    if (match.rules === null) continue;
    trial.wouldApprove += 1;
    trial.became[row.status] = (trial.became[row.status] ?? 0) + 1;
    const { approvalId, runId, stepPath, status } = row;
    if (trial.sample.length < 20) trial.sample.push({ approvalId, runId, stepPath, status });
  }
  return trial;
}

interface PastApproval {
  approvalId: string;
  runId: string;
  stepPath: string;
  status: string;
  required: number;
  fourEyes: boolean;
  approvers: string[];
  arguments: ApprovalArgument[];
}

const ruleNotFound = (name: string): KosError =>
  new KosError({ code: 'rule_not_found', message: `There is no rule called "${name}" in this workspace.`, fix: 'kai approval rule list', status: 404 });
