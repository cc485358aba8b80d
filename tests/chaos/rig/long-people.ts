import { KosError } from '#core/errors.ts';
import type { RunStatus } from '#schemas/run.ts';
import type { Installation } from './installation.ts';
import { type LongLoad, sendSignal } from './long-load.ts';
import { queryPatiently } from './patient-query.ts';
import { decide, sentOutput } from './people.ts';
import type { Sink } from './sink.ts';

/** What runs, and those that their steps started, wait for of people. `rootId`: the run that was started from outside. */
interface Desk {
  signals: { runId: string; rootId: string; name: string }[];
  approvals: { id: string; message: string | null }[];
  uncertain: { runId: string; path: string }[];
  roots: { id: string; status: RunStatus; cancelled: boolean }[];
}

/**
 * The people around the runs: they send signals, decide approvals, cancel, pause and retry what is to be, and say what came of effects that are uncertain.
 */
export interface People {
  /** Looks once at everything that waits for somebody, and does it. */
  tend: (loads: readonly LongLoad[]) => Promise<void>;
  /** What they have done, by kind, and how often. */
  deeds: () => Record<string, number>;
}

/** Signals that nobody sends. */
const unsent = new Set(['never', 'nobody']);

export function makePeople(installation: Installation, sink: Sink): People {
  /** What a dead worker has sent is still on its way when a step is seen as uncertain for the first time: it is resolved at the second look. */
  let seenBefore = new Set<string>();
  const pausedBefore = new Set<string>();
  const deeds: Record<string, number> = {};

  const unlessTooLate = async (deed: string, ask: () => Promise<unknown>): Promise<void> => {
    try {
      await ask();
      deeds[deed] = (deeds[deed] ?? 0) + 1;
    } catch (error) {
      // It may have been done though the answer was lost, or the run has gone on meanwhile.
      if (!(error instanceof KosError) || error.status !== 409) throw error;
    }
  };

  const act = (runId: string, verb: string): Promise<void> =>
    unlessTooLate(verb, () => installation.patiently((client) => client.runs.act(runId, verb, { reason: 'as it was planned' })));

  const decideAsked = async ({ id, message }: Desk['approvals'][number]): Promise<void> => {
    const decision = message?.startsWith('Deny') === true ? 'deny' : 'approve';
    if (message?.startsWith('Leave') !== true) await unlessTooLate(decision, () => decide(installation, id, decision));
  };

  const resolve = async (runId: string, path: string): Promise<void> => {
    const sent = sink.pathOf(`${runId}/${path}`);
    const reason = `the sink has ${sent === null ? 'not ' : ''}seen it`;
    const said = sent === null ? { outcome: 'did_not' } : { outcome: 'happened', output: sentOutput(`${sink.url}${sent}`) };
    await unlessTooLate('resolve', () => installation.patiently((client) => client.runs.actOnStep(runId, 'resolve', { path, reason, ...said })));
  };

  const resolveAll = async (uncertain: Desk['uncertain']): Promise<void> => {
    const seen = new Set(uncertain.map(({ runId, path }) => `${runId}/${path}`));
    for (const { runId, path } of uncertain) if (seenBefore.has(`${runId}/${path}`)) await resolve(runId, path);
    seenBefore = seen;
  };

  const steer = async ({ plan }: LongLoad, { id, status, cancelled }: Desk['roots'][number], desk: Desk): Promise<void> => {
    const held = desk.signals.filter(({ rootId, name }) => rootId === id && name === 'never').length;
    if (plan.cancelAt > 0 && held === plan.cancelAt && !cancelled) await act(id, 'cancel');
    if (plan.person === 'retries' && status === 'failed') await act(id, 'retry');
    if (plan.person === 'pauses' && status === 'paused') await act(id, 'resume');
    if (plan.person === 'pauses' && status === 'running' && !pausedBefore.has(id)) {
      pausedBefore.add(id);
      await act(id, 'pause');
    }
  };

  return {
    deeds: () => ({ ...deeds }),
    tend: async (loads) => {
      if (loads.length === 0) return;
      const desk = await readDesk(installation, loads);
      for (const { runId, name } of desk.signals) if (!unsent.has(name)) await unlessTooLate('signal', () => sendSignal(installation, runId, name));
      for (const approval of desk.approvals) await decideAsked(approval);
      await resolveAll(desk.uncertain);
      for (const root of desk.roots) {
        const load = loads.find(({ runId }) => runId === root.id);
        if (load !== undefined) await steer(load, root, desk);
      }
    },
  };
}

async function readDesk(installation: Installation, loads: readonly LongLoad[]): Promise<Desk> {
  const ids = loads.map(({ runId }) => runId);
  const [desk] = await queryPatiently<Desk>(
    installation,
    (sql) => sql`
    with family as (
      select id, status, coalesce(root_run_id, id) as root_id, cancel_requested_at is not null as cancelled from kos.runs
      where id in ${sql(ids)} or root_run_id in ${sql(ids)}
    )
    select
      (select coalesce(jsonb_agg(jsonb_build_object('runId', w.run_id, 'rootId', f.root_id, 'name', w.signal_name)), '[]')
        from kos.waits w join family f on f.id = w.run_id where w.status = 'open' and w.kind = 'signal') as signals,
      (select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'message', a.message)), '[]') from kos.approvals a join family f on f.id = a.run_id
        where a.status = 'open') as approvals,
      (select coalesce(jsonb_agg(jsonb_build_object('runId', s.run_id, 'path', s.path)), '[]') from kos.steps s join family f on f.id = s.run_id
        join kos.effects e on e.key = s.run_id || '/' || s.path where s.status = 'uncertain') as uncertain,
      (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'status', status, 'cancelled', cancelled)), '[]') from family where id = root_id) as roots`,
  );
  if (desk === undefined) throw new Error('A select without a table gave no row.');
  return desk;
}
