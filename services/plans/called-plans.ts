import { type CalledPlan, type CalledPlans, callsOf, faultOfCall, nameOfReference } from '#core/plan/called-plans.ts';
import { KosError } from '#core/errors.ts';
import { parsePlan } from '#core/plan/parse.ts';
import { planLimits } from '#schemas/plan.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { PlanText } from '#schemas/plan-text.ts';
import type { Database, TransactionSql } from '#services/database/connect.ts';
import type { PlanCompiler, PlanFormat, PlanVerdict } from './compiler.ts';

/** More plans than these below one are a mistake, or an attack on who looks them up. */
const calledAtMost = 500;

/** Plans by reference, and all that these run in turn. Those that are not there are left out. */
export async function loadCalledPlans(sql: TransactionSql, references: readonly string[]): Promise<CalledPlans> {
  const found = new Map<string, CalledPlan>();
  const asked = new Set<string>();
  let next = [...references];
  for (let level = 0; next.length > 0 && level <= planLimits.depth + 1 && asked.size <= calledAtMost; level += 1) {
    for (const reference of next) asked.add(reference);
    for (const [reference, plan] of await readLevel(sql, next)) found.set(reference, plan);
    next = [...new Set(next.flatMap((reference) => found.get(reference)?.calls ?? []))].filter((reference) => !asked.has(reference));
  }
  return found;
}

interface CalledRow {
  name: string;
  version: number;
  latest: number;
  inputSchema: Json;
  calls: string[];
}

async function readLevel(sql: TransactionSql, references: readonly string[]): Promise<[string, CalledPlan][]> {
  const rows = await sql<CalledRow[]>`
    select v.name, v.version, p.latest_version as latest, v.document->'input' as "inputSchema",
      (select coalesce(json_agg(distinct step.value->>'plan'), '[]') from json_each(v.document->'steps') as step where step.value->>'plan' is not null) as calls
    from kos.plans p join kos.plan_versions v on v.workspace_id = p.workspace_id and v.name = p.name
    where not p.archived and p.name in ${sql([...new Set(references.map(nameOfReference))])}
      and (v.version = p.latest_version or v.name || '@' || v.version in ${sql([...references])})`;
  return references.flatMap((reference): [string, CalledPlan][] => {
    const row = rows.find(({ name, version, latest }) => reference === `${name}@${version}` || (reference === name && version === latest));
    return row === undefined ? [] : [[reference, { name: row.name, version: row.version, inputSchema: row.inputSchema ?? null, calls: row.calls }]];
  });
}

/** Checks a plan's text with the plans of its workspace that it runs; of those in `beside`, as they will be. Executes nothing. */
export async function checkText(
  database: Database,
  compile: PlanCompiler,
  request: { workspaceId: string; source: string; format: PlanFormat; beside?: readonly PlanText[] | undefined },
): Promise<PlanVerdict> {
  const { workspaceId, source, format, beside = [] } = request;
  const calls = callsOfText(source, format);
  if (calls.length === 0) return compile(source, format);
  const together = calledTexts(beside);
  const references = [...calls, ...[...together.values()].flatMap((plan) => plan.calls)];
  const saved = await database.inWorkspace(workspaceId, ({ sql }) => loadCalledPlans(sql, references));
  return compile(source, format, new Map([...saved, ...together]));
}

/** By their names alone: which version each will be is not known before it is saved. Faulty ones are for who checks those. */
function calledTexts(texts: readonly PlanText[]): Map<string, CalledPlan> {
  const parsed = texts.map(({ source, format }) => parsePlan(source, format));
  return new Map(
    parsed.flatMap((read): [string, CalledPlan][] => {
      if (!read.ok) return [];
      const { plan, document } = read.parsed;
      return [[plan.plan, { name: plan.plan, version: 0, inputSchema: document['input'] ?? null, calls: callsOf(document) }]];
    }),
  );
}

/** The plans that its steps run and that its failures start. A second key `plan` is that of one, most likely: only then is the text read for them. */
function callsOfText(source: string, format: PlanFormat): string[] {
  if ((source.match(/\bplan["']?\s*:/g) ?? []).length < 2) return [];
  const parsed = parsePlan(source, format);
  if (!parsed.ok) return [];
  const { plan, document } = parsed.parsed;
  return [...callsOf(document), ...(plan.onFailure === undefined ? [] : [plan.onFailure.plan])];
}

/**
 * The versions of all plans that a run of this one may start, its sub-plans' included, by name: fixed when the run is accepted, so that every item and every
 * attempt of it runs the same. Throws KosError `sub_plan_not_found`, `sub_plan_recursion`, `sub_plan_too_deep` (409).
 */
export async function pinCalledPlans(sql: TransactionSql, plan: { name: string; document: JsonObject }): Promise<Record<string, number>> {
  const calls = callsOf(plan.document);
  const called = await loadCalledPlans(sql, calls);
  for (const reference of calls) {
    const found = faultOfCall(plan.name, reference, called);
    if (found === null) continue;
    if (found.fault === 'unknown') throw notFound(plan.name, found.reference);
    throw new KosError({
      code: found.fault === 'recursion' ? 'sub_plan_recursion' : 'sub_plan_too_deep',
      message:
        found.fault === 'recursion'
          ? `Plans would run each other without end: ${found.path.join(' → ')}.`
          : `Plans would run more than ${planLimits.depth} deep below one another: ${found.path.join(' → ')}.`,
      fix: 'Save one of them without that step: kai plan save FILE',
      status: 409,
    });
  }
  return Object.fromEntries([...called].flatMap(([reference, { name, version }]) => (reference === name ? [[name, version]] : [])));
}

const notFound = (name: string, reference: string): KosError =>
  new KosError({
    code: 'sub_plan_not_found',
    message: `There is no plan "${reference}" in this workspace, and ${name} runs it.`,
    fix: 'Save it: kai plan save FILE',
    status: 409,
  });
