import { KosError } from '#core/errors.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';

/** What would fail without a plan. */
interface PlanUser {
  kind: 'schedule' | 'trigger' | 'plan' | 'run';
  id: string;
  name: string;
}

const listedAtMost = 20;

/**
 * No run of it is started any more; its versions stay for the runs that were. Throws KosError `plan_not_found` (404), and `plan_in_use` (409) with `users`: schedules, triggers, plans
 * whose newest version runs it (when they fail, too), and open runs.
 */
export async function removePlan({ sql }: Transaction, { workspaceId, actor, name }: { workspaceId: string; actor: string; name: string }): Promise<void> {
  const [plan] = await sql`select 1 from kos.plans where name = ${name} and not archived for update`;
  if (plan === undefined)
    throw new KosError({ code: 'plan_not_found', message: `There is no plan called "${name}" in this workspace.`, fix: 'kai plan list', status: 404 });
  const users = await usersOf(sql, name);
  if (users.length > 0) throw inUse(name, users);
  await sql`update kos.plans set archived = true, updated_at = now() where name = ${name}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'plan.remove', subject: name, data: {} }]);
}

async function usersOf(sql: TransactionSql, name: string): Promise<PlanUser[]> {
  return await sql<PlanUser[]>`
    (select 'schedule' as kind, id, name from kos.schedules where plan_name = ${name} and deleted_at is null order by name limit ${listedAtMost})
    union all
    (select 'trigger', id, name from kos.triggers where plan_name = ${name} order by name limit ${listedAtMost})
    union all
    (select 'plan', p.name || '@' || p.latest_version, p.name from kos.plans p join kos.plan_versions v on v.workspace_id = p.workspace_id and v.name = p.name and v.version = p.latest_version
      where not p.archived and p.name <> ${name}
        and (split_part(v.document->'onFailure'->>'plan', '@', 1) = ${name}
          or exists (select from json_each(v.document->'steps') as step where split_part(step.value->>'plan', '@', 1) = ${name})) order by p.name limit ${listedAtMost})
    union all
    (select 'run', id, status from kos.runs where plan_name = ${name} and status in ('queued', 'running', 'waiting', 'paused') order by created_at limit ${listedAtMost})`;
}

const inUse = (name: string, users: readonly PlanUser[]): KosError =>
  new KosError({
    code: 'plan_in_use',
    message: `The plan "${name}" is in use: ${users
      .slice(0, 5)
      .map((user) => (user.kind === 'run' ? `run ${user.id} is ${user.name}` : `${user.kind} ${user.name}`))
      .join(', ')}${users.length > 5 ? ' …' : ''}.`,
    fix: 'Remove its users, or let them use another plan, then repeat.',
    status: 409,
    extra: { users: users.map(({ kind, id }) => ({ kind, id })) },
  });
