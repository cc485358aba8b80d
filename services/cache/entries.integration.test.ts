import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Claim } from '#core/engine/claim.ts';
import { jsonParameter } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { removeRunRows } from '#services/runs/remove.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { insertRun } from '#tests/rig/test-runs.ts';
import { clearCache, findKept, keepOutput } from './entries.ts';

let rig: TestDatabase;
beforeAll(async () => {
  rig = await makeTestDatabase();
});
afterAll(() => rig.remove());

const minuteMs = 60_000;
const keys = ['a', 'b'] as const;
const plans = ['one', 'two'] as const;
const ttls = [60, 120] as const;

type Change =
  | { do: 'keep'; key: (typeof keys)[number]; run: number; ttl: number }
  /** So many minutes pass. */
  | { do: 'pass'; minutes: number }
  | { do: 'clear'; plan: (typeof plans)[number] | null }
  | { do: 'delete'; run: number }
  | { do: 'find'; key: (typeof keys)[number]; ttl: number };

const runNumber = fc.integer({ min: 0, max: 3 });
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('keep' as const), key: fc.constantFrom(...keys), run: runNumber, ttl: fc.constantFrom(...ttls) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), minutes: fc.constantFrom(25, 70) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const), plan: fc.constantFrom(...plans, null) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), run: runNumber }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('find' as const), key: fc.constantFrom(...keys), ttl: fc.constantFrom(...ttls) }) },
);

/** What is kept, as anybody would write it down. */
class Notebook {
  private readonly kept = new Map<string, { run: number; ageMinutes: number; ttl: number }>();
  readonly deleted = new Set<number>();

  apply(made: Change): void {
    if (made.do === 'keep' && !this.deleted.has(made.run)) this.kept.set(made.key, { run: made.run, ageMinutes: 0, ttl: made.ttl });
    if (made.do === 'pass') for (const entry of this.kept.values()) entry.ageMinutes += made.minutes;
    if (made.do === 'clear') this.forget(({ run }) => made.plan === null || planOf(run) === made.plan);
    if (made.do === 'delete') {
      this.deleted.add(made.run);
      this.forget(({ run }) => run === made.run);
    }
  }

  find(key: string, ttl: number): number | null {
    const entry = this.kept.get(key);
    return entry === undefined || entry.ageMinutes >= Math.min(ttl, entry.ttl) ? null : entry.run;
  }

  private forget(gone: (entry: { run: number }) => boolean): void {
    for (const [key, entry] of this.kept) if (gone(entry)) this.kept.delete(key);
  }
}

const planOf = (run: number): (typeof plans)[number] => (run % 2 === 0 ? 'one' : 'two');

/** The same on the database, in a workspace of its own. */
async function makeDesk() {
  const workspaceId = newId('workspace');
  const runIds = await rig.database.inWorkspace(workspaceId, async (transaction) => {
    const { sql } = transaction;
    for (const name of plans) {
      await sql`insert into kos.plans (workspace_id, name, latest_version, archived) values (${workspaceId}, ${name}, 1, false)`;
      await sql`
        insert into kos.plan_versions (workspace_id, name, version, digest, source, document, shape, created_by)
        values (${workspaceId}, ${name}, 1, '', '', '{}', '{}', 'prn_test')`;
    }
    const made: string[] = [];
    for (let run = 0; run < 4; run += 1) {
      const runId = await insertRun(transaction, { workspaceId, planName: planOf(run), status: 'succeeded' });
      await sql`
        insert into kos.steps (workspace_id, run_id, path, step, kind, status, output) values (${workspaceId}, ${runId}, 'look', 0, 'tool', 'succeeded', ${jsonParameter(sql, run)})`;
      made.push(runId);
    }
    return made;
  });
  const claimOf = (run: number): Claim => ({ workspaceId, runId: runIds[run] ?? '', generation: 1, chain: '' });
  const { inWorkspace } = rig.database;
  return {
    runIds,
    async apply(made: Change, deleted: ReadonlySet<number>): Promise<void> {
      switch (made.do) {
        case 'keep': {
          if (deleted.has(made.run)) return;
          const entry = { key: made.key, planName: planOf(made.run), stepPath: 'look', ttlMs: made.ttl * minuteMs };
          await inWorkspace(workspaceId, ({ sql }) => keepOutput(sql, claimOf(made.run), entry));
          return;
        }
        case 'pass':
          await rig.system.sql`
            update kos.cache_entries set created_at = created_at - make_interval(mins => ${made.minutes}), expires_at = expires_at - make_interval(mins => ${made.minutes})
            where workspace_id = ${workspaceId}`;
          return;
        case 'clear':
          await inWorkspace(workspaceId, (transaction) => clearCache(transaction, { workspaceId, actor: 'prn_test', plan: made.plan }));
          return;
        case 'delete':
          await rig.system.sql.begin((sql) => removeRunRows(sql, workspaceId, [runIds[made.run] ?? '']));
          return;
        case 'find':
          return;
      }
    },
    find: (key: string, ttl: number) => inWorkspace(workspaceId, ({ sql }) => findKept(sql, key, ttl * minuteMs)),
  };
}

describe('kept outputs', () => {
  it('are found exactly where the notebook has them, whatever is kept, passes, is cleared and deleted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 3, maxLength: 15 }), async (changes) => {
        const notebook = new Notebook();
        const desk = await makeDesk();
        for (const made of changes) {
          await desk.apply(made, notebook.deleted);
          notebook.apply(made);
          if (made.do !== 'find') continue;
          const [found, wanted] = [await desk.find(made.key, made.ttl), notebook.find(made.key, made.ttl)];
          expect(found === null ? null : { runId: found.runId, output: found.output }).toEqual(
            wanted === null ? null : { runId: desk.runIds[wanted], output: wanted },
          );
        }
      }),
      { numRuns: 60 },
    );
  });
});
