import type { Installation } from './installation.ts';
import type { LongPlan } from './long-plans.ts';
import { type Sink, slowPrefix } from './sink.ts';

/** A run of the long scenario that was accepted. */
export interface LongLoad {
  plan: LongPlan;
  runId: string;
  /** What its effects are below, at the sink. */
  prefix: string;
  /** Runs of one line come one after the other, where the plan says so. */
  line: string;
}

export interface LongWish {
  plan: LongPlan;
  tag: string;
  line: string;
  /** Signals are sent before anything waits for them. */
  early: boolean;
}

export async function startLongLoad(installation: Installation, sink: Sink, { plan, tag, line, early }: LongWish): Promise<LongLoad> {
  const prefix = `${slowPrefix}${tag}/`;
  const input = { at: `${sink.url}${slowPrefix}${tag}`, line };
  const { id } = await installation.patiently((client) => client.runs.start({ plan: `long-${plan.kind}`, input, labels: { chaos: tag } }, `start-${tag}`));
  if (early && plan.kind === 'signalled') for (const name of ['done', 'go']) await sendSignal(installation, id, name);
  return { plan, runId: id, prefix, line };
}

/** Of the signals that runs wait for; the payload says which effects come next. */
const payloads: Record<string, { effects: number[] } | null> = { go: { effects: [1, 2, 3] }, done: null };

export async function sendSignal(installation: Installation, runId: string, name: string): Promise<void> {
  await installation.patiently((client) => client.runs.signal(runId, { name, payload: payloads[name] ?? null }, `${name}-${runId}`));
}
