import { KosError } from '#core/errors.ts';
import type { Installation } from './installation.ts';
import { type LongLoad, sendSignal } from './long-load.ts';
import { queryPatiently } from './patient-query.ts';
import { approve, sentOutput } from './people.ts';
import type { Sink } from './sink.ts';

/** What runs, and those that their steps started, wait for of people. */
interface Desk {
  signals: { runId: string; name: string; cancelled: boolean }[];
  approvals: { id: string }[];
  uncertain: { runId: string; path: string }[];
}

/** The people around the runs: they send the signals, approve, cancel what is to be cancelled, and say what came of effects that are uncertain. */
export interface People {
  /** Looks once at everything that waits for somebody, and does it. */
  tend: (loads: readonly LongLoad[]) => Promise<void>;
}

export function makePeople(installation: Installation, sink: Sink): People {
  /** What a dead worker has sent is still on its way when a step is seen as uncertain for the first time: it is resolved at the second look. */
  let seenBefore = new Set<string>();

  const resolve = async (runId: string, path: string): Promise<void> => {
    const sent = sink.pathOf(`${runId}/${path}`);
    const reason = `the sink has ${sent === null ? 'not ' : ''}seen it`;
    const said = sent === null ? { outcome: 'did_not' } : { outcome: 'happened', output: sentOutput(`${sink.url}${sent}`) };
    await unlessSaidBefore('step_not_uncertain', () => installation.patiently((client) => client.runs.actOnStep(runId, 'resolve', { path, reason, ...said })));
  };

  const cancel = async (runId: string): Promise<void> => {
    await unlessSaidBefore('run_final', () => installation.patiently((client) => client.runs.act(runId, 'cancel', { reason: 'as it was planned' })));
  };

  return {
    tend: async (loads) => {
      if (loads.length === 0) return;
      const desk = await readDesk(installation, loads);
      for (const { runId, name, cancelled } of desk.signals) {
        if (name !== 'never') await sendSignal(installation, runId, name);
        else if (!cancelled) await cancel(runId);
      }
      for (const { id } of desk.approvals) await approve(installation, id);
      const seen = new Set<string>();
      for (const { runId, path } of desk.uncertain) {
        const key = `${runId}/${path}`;
        seen.add(key);
        if (seenBefore.has(key)) await resolve(runId, path);
      }
      seenBefore = seen;
    },
  };
}

/** The answer to the first time may have been lost. */
async function unlessSaidBefore(code: string, say: () => Promise<unknown>): Promise<void> {
  try {
    await say();
  } catch (error) {
    if (!(error instanceof KosError) || error.code !== code) throw error;
  }
}

async function readDesk(installation: Installation, loads: readonly LongLoad[]): Promise<Desk> {
  const ids = loads.map(({ runId }) => runId);
  const [desk] = await queryPatiently<Desk>(
    installation,
    (sql) => sql`
    with family as (select id, cancel_requested_at from kos.runs where id in ${sql(ids)} or root_run_id in ${sql(ids)})
    select
      (select coalesce(jsonb_agg(jsonb_build_object('runId', w.run_id, 'name', w.signal_name, 'cancelled', f.cancel_requested_at is not null)), '[]')
        from kos.waits w join family f on f.id = w.run_id where w.status = 'open' and w.kind = 'signal') as signals,
      (select coalesce(jsonb_agg(jsonb_build_object('id', a.id)), '[]') from kos.approvals a join family f on f.id = a.run_id where a.status = 'open') as approvals,
      (select coalesce(jsonb_agg(jsonb_build_object('runId', s.run_id, 'path', s.path)), '[]') from kos.steps s join family f on f.id = s.run_id
        join kos.effects e on e.key = s.run_id || '/' || s.path where s.status = 'uncertain') as uncertain`,
  );
  return desk ?? { signals: [], approvals: [], uncertain: [] };
}
