import { windowSize } from '#core/engine/items.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import type { RunWorkflows } from '#services/temporal/run-workflows.ts';
import { makeWindowWorkflowId } from '#workflows/ids.ts';

interface WindowedRun {
  id: string;
  generation: number;
}

/** Runs with a `forEach` that is large enough for windows and has not ended. */
const windowedRuns = ({ sql }: SystemDatabase): Promise<WindowedRun[]> => sql<WindowedRun[]>`
  select distinct r.id, r.generation from kos.runs r join kos.steps s on s.run_id = r.id
  where r.status in ('queued', 'running', 'waiting', 'paused') and s.item is null and s.status = 'running' and (s.metadata->>'items')::int > ${windowSize}`;

/**
 * A window tells its run when it ends. One that was terminated, or failed, outside kOS cannot: its run would wait for it for ever. Told in its
 * place, the run looks at its items and opens another window for what is left.
 */
export async function tellOfLostWindows({ system, workflows }: { system: SystemDatabase; workflows: RunWorkflows }): Promise<void> {
  for (const run of await windowedRuns(system)) {
    for (const window of await workflows.openWindows(run.id)) {
      const execution = await workflows.describe(makeWindowWorkflowId(run.id, run.generation, window.step, window.from));
      if (execution?.status !== 'running') await workflows.signalWindowEnded(run.id, { step: window.step, from: window.from, failed: false });
    }
  }
}
