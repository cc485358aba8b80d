import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { countTraces } from '#cli/demo/traces.ts';
import type { Installation } from './installation.ts';
import type { Load } from './load.ts';
import { silenceAfter } from './silence.ts';
import type { Sink } from './sink.ts';

/** What became of runs and their effects, counted in the world and in the database, not asked of kOS. */
export interface Verdict {
  runs: number;
  effects: number;
  missing: number;
  /** Effects that happened twice: an idempotent one asked for again under its key is none. */
  doubled: number;
  /** Idempotent effects that were asked for again under their key. */
  repeated: number;
  /** Effectful items that were left to a person, who has said what came of them. */
  uncertain: number;
  /** Steps that used up an attempt of their own though only kOS was hurt. */
  attemptsSpent: number;
  /** Everything that must not be, in words. */
  faults: string[];
}

export const noVerdict = (): Verdict => ({ runs: 0, effects: 0, missing: 0, doubled: 0, repeated: 0, uncertain: 0, attemptsSpent: 0, faults: [] });

export function addVerdicts(one: Verdict, other: Verdict): Verdict {
  return {
    runs: one.runs + other.runs,
    effects: one.effects + other.effects,
    missing: one.missing + other.missing,
    doubled: one.doubled + other.doubled,
    repeated: one.repeated + other.repeated,
    uncertain: one.uncertain + other.uncertain,
    attemptsSpent: one.attemptsSpent + other.attemptsSpent,
    faults: [...one.faults, ...other.faults],
  };
}

export async function judge(installation: Installation, sink: Sink, loads: readonly Load[]): Promise<Verdict> {
  let verdict = noVerdict();
  for (const load of loads) verdict = addVerdicts(verdict, await judgeRun(installation, sink, load));
  for (const confused of sink.confusedKeys()) verdict.faults.push(`one idempotency key, two effects: ${confused}`);
  return verdict;
}

interface RunRow {
  status: string;
  error: string | null;
  /** Events that say that it ended, and that it was accepted. */
  ends: number;
  accepted: number;
  /** Steps that are recorded as succeeded more than once. */
  twice: number;
  attempts: number;
  uncertain: number;
  succeeded: number;
  calls: number;
}

async function judgeRun(installation: Installation, sink: Sink, load: Load): Promise<Verdict> {
  const { runId, kind, items } = load;
  const [row] = await installation.query<RunRow>(
    (sql) => sql`
    select r.status, r.error->>'code' as error,
      (select count(*)::int from kos.events where run_id = r.id and type in ('run.succeeded', 'run.failed', 'run.cancelled', 'run.terminated')) as ends,
      (select count(*)::int from kos.events where run_id = r.id and type = 'run.accepted') as accepted,
      (select count(*)::int from (select 1 from kos.events where run_id = r.id and type = 'step.succeeded' group by data->>'stepPath' having count(*) > 1) twice) as twice,
      (select coalesce(sum(attempt - 1), 0)::int from kos.steps where run_id = r.id and attempt > 1) as attempts,
      (select count(distinct data->>'stepPath')::int from kos.events where run_id = r.id and type = 'step.uncertain' and data->>'stepPath' like '%]') as uncertain,
      (select count(*)::int from kos.steps where run_id = r.id and status = 'succeeded' and kind = 'tool' and path not in ('call', 'write')) as succeeded,
      (select coalesce(sum(calls), 0)::int from kos.effects where run_id = r.id) as calls
    from kos.runs r where r.id = ${runId}`,
  );
  const verdict = { ...noVerdict(), runs: 1, effects: items };
  const say = (fault: string): void => void verdict.faults.push(`${kind} ${runId}: ${fault}`);
  if (row === undefined) {
    say('was accepted and is gone');
    return { ...verdict, missing: items };
  }
  if (row.ends !== 1) say(`has ${row.ends} ends on record, status ${row.status}`);
  if (row.accepted !== 1) say(`was accepted ${row.accepted} times`);
  if (row.twice > 0) say(`${row.twice} steps are on record as succeeded twice`);
  if (row.attempts > 0) say(`${row.attempts} attempts were spent`);
  if (row.status !== 'succeeded') say(`ended as ${row.status} (${row.error ?? 'no error'})`);
  const world = kind === 'fan-out' ? await countFiles(installation, load) : countCalls(sink, load);
  if (kind === 'send' && world.once + world.more < row.succeeded) say(`${row.succeeded} sends are recorded, ${world.once + world.more} arrived`);
  const doubled = kind === 'send' || kind === 'fan-out' ? world.more : 0;
  const missing = row.status === 'succeeded' ? items - world.once - world.more : 0;
  return { ...verdict, missing, doubled, repeated: kind === 'send' ? 0 : world.more, uncertain: row.uncertain, attemptsSpent: row.attempts };
}

/** Effects of a run by how often the world saw them. */
interface Seen {
  once: number;
  more: number;
}

async function countFiles(installation: Installation, { runId, items }: Load): Promise<Seen> {
  const traces = await countTraces(join(installation.home, 'workspace', 'fan-out', runId), runId, items);
  return { once: traces.exact, more: traces.doubled + traces.foreign };
}

function countCalls(sink: Sink, { kind, runId }: Load): Seen {
  const counts = [...sink.calls(`/${kind}/${runId}/`).values()];
  return { once: counts.filter((count) => count === 1).length, more: counts.filter((count) => count > 1).length };
}

/** The sequencer needs a moment for what was committed last. */
const numberedWithinMs = 5_000;

/** Every event has one number, none is left out, and every entry of the log has its leaf. */
export async function judgeRecord(installation: Installation): Promise<string[]> {
  for (const until = performance.now() + numberedWithinMs; ; await sleep(100)) {
    const faults = await examineRecord(installation);
    if (faults.length === 0 || performance.now() > until) return faults;
  }
}

async function examineRecord(installation: Installation): Promise<string[]> {
  const [row] = await installation.query<{ events: number; numbered: number; highest: number; entries: number; leaves: number; frontier: number }>(
    (sql) => sql`
    select (select count(*)::int from kos.events) as events, (select count(distinct seq)::int from kos.events) as numbered, (select max(seq)::int from kos.events) as highest,
      (select count(*)::int from kos.audit_entries) as entries, (select count(distinct leaf_index)::int from kos.audit_entries) as leaves,
      (select audit_size::int from kos.sequencer where id = 1) as frontier`,
  );
  if (row === undefined) return ['the record cannot be read'];
  const faults: string[] = [];
  if (row.events !== row.numbered || row.events !== row.highest)
    faults.push(`of ${row.events} events ${row.numbered} have a number, the highest is ${row.highest}`);
  if (row.entries !== row.leaves || row.entries !== row.frontier)
    faults.push(`of ${row.entries} audit entries ${row.leaves} have a leaf, the tree has ${row.frontier}`);
  return faults;
}

/** Per run, how long it stood still after the kill, ms; runs that had nothing to do then are left out. */
export async function silences(installation: Installation, loads: readonly Load[], killedAt: number): Promise<{ load: Load; silenceMs: number }[]> {
  const ids = loads.map(({ runId }) => runId);
  const rows = await installation.query<{ runId: string; signs: number[] }>(
    (sql) => sql`
    select r.id as "runId", 
      jsonb_agg(extract(epoch from e.at) * 1000) filter (where e.at is not null) || jsonb_build_array(extract(epoch from r.created_at) * 1000) as signs
    from kos.runs r left join kos.events e on e.run_id = r.id and (e.type like 'step.%' or e.type in ('run.succeeded', 'run.failed'))
    where r.id in ${sql(ids)} group by r.id`,
  );
  const signs = new Map(rows.map((row) => [row.runId, row.signs]));
  return loads.flatMap((load) => {
    const silenceMs = silenceAfter(killedAt, signs.get(load.runId) ?? []);
    return silenceMs === null ? [] : [{ load, silenceMs: Math.round(silenceMs) }];
  });
}
