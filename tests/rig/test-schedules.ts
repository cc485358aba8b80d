import { setTimeout as sleep } from 'node:timers/promises';
import { permissions } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import { createScheduleSchema, type Schedule, type ScheduleStart } from '#schemas/schedule.ts';
import { createSchedule, pauseSchedule, removeSchedule } from '#services/schedules/change.ts';
import { listStarts, readSchedule } from '#services/schedules/read.ts';
import type { TestEngine } from './test-engine.ts';

/** Schedules of an engine's workspace, and somebody who may start runs there. */
export async function makeTestSchedules(engine: TestEngine) {
  const { workspaceId, rig } = engine;
  const principalId = 'prn_scheduler';
  await rig.system.sql`insert into kos.principals (id, kind, name, public_key) values (${principalId}, 'user', 'scheduler', '') on conflict do nothing`;
  await rig.system.sql`insert into kos.memberships (workspace_id, principal_id, roles) values (${workspaceId}, ${principalId}, '["operator"]')`;
  const principal: Principal = {
    principalId,
    name: 'scheduler',
    workspaceId,
    credentialId: 'key_scheduler',
    responsible: principalId,
    roles: ['operator'],
    permissions: new Set(permissions),
    via: 'session',
    scopes: null,
    installationRole: null,
  };
  const ids: string[] = [];

  const read = (id: string): Promise<Schedule> =>
    rig.database.inWorkspace(workspaceId, async (transaction) => (await readSchedule(transaction, id, Date.now())).schedule);

  const synced = async (id: string): Promise<void> => {
    engine.nudge();
    while ((await read(id)).pendingSync !== null) await sleep(20);
  };

  const starts = (id: string): Promise<ScheduleStart[]> =>
    rig.database.inWorkspace(workspaceId, async (transaction) => (await listStarts(transaction, id, { cursor: null, limit: 200 })).items.toReversed());

  /** Somebody else who may. */
  const another = async (name: string): Promise<Principal> => {
    const other = { ...principal, principalId: `prn_${name}`, name, responsible: `prn_${name}` };
    await rig.system.sql`insert into kos.principals (id, kind, name, public_key) values (${other.principalId}, 'user', ${name}, '') on conflict do nothing`;
    await rig.system.sql`insert into kos.memberships (workspace_id, principal_id, roles) values (${workspaceId}, ${other.principalId}, '["operator"]')`;
    return other;
  };

  return {
    principal,
    another,
    read,
    synced,
    /** By the time for which they were due. */
    starts,
    create: async (definition: object): Promise<string> => {
      const wanted = createScheduleSchema.parse(definition);
      const id = await rig.database.inWorkspace(workspaceId, (transaction) => createSchedule(engine.evaluator, transaction, principal, wanted));
      ids.push(id);
      await synced(id);
      return id;
    },
    pause: async (id: string): Promise<void> => {
      await rig.database.inWorkspace(workspaceId, (transaction) => pauseSchedule(transaction, { workspaceId, actor: principalId, id, note: 'enough' }));
      await synced(id);
    },
    untilStarts: async (id: string, count: number, timeoutMs = 120_000): Promise<ScheduleStart[]> => {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        const found = (await starts(id)).filter(({ status }) => status === 'accepted');
        if (found.length >= count) return found;
        if (performance.now() > deadline) throw new Error(`${found.length} starts of ${id} after ${timeoutMs} ms: ${JSON.stringify(await read(id))}`);
        await sleep(50);
      }
    },
    /** Ends everything, and gives what is to be replayed to the engine. */
    close: async (): Promise<void> => {
      for (const id of ids) {
        const made = await starts(id).catch(() => []);
        const { version } = (await rig.system.sql<{ version: number }[]>`select version from kos.schedules where id = ${id} and deleted_at is null`)[0] ?? {};
        if (version !== undefined) await rig.database.inWorkspace(workspaceId, (transaction) => removeSchedule(transaction, principal, { id, version }));
        engine.runIds.push(id, ...made.flatMap(({ runId }) => (runId === null ? [] : [runId])));
      }
    },
  };
}
