import { KosError } from '#core/errors.ts';
import type { Approval } from '#schemas/approval.ts';
import type { KosEvent } from '#schemas/event.ts';
import { isFinalRunStatus, type Run } from '#schemas/run.ts';
import type { Client } from '../client.ts';
import { askForDecision, sendDecision } from '../decide.ts';
import { followEvents } from '../event-stream.ts';
import type { Invocation } from '../invocation.ts';
import type { Progress } from './progress.ts';
import { applyEvent, applyItemTotal, applyStep, createStepTree, openedItems, type StepTree } from './step-tree.ts';

export type FollowOutcome =
  | { kind: 'ended'; run: Run }
  /** Somebody must decide, and nobody can be asked here (or said "later"). */
  | { kind: 'needs_people'; run: Run; approvals: Approval[] }
  | { kind: 'timed_out' }
  /** Ctrl-C. */
  | { kind: 'detached' };

export interface FollowOptions {
  runId: string;
  /** Milliseconds; null: as long as it takes. */
  timeoutMs: number | null;
  /** `ask` at the terminal; `return` with what is open; `wait` until somebody has decided elsewhere. */
  people: 'ask' | 'return' | 'wait';
  progress: (tree: StepTree, run: Run) => Promise<Progress>;
  /** Told of every event once it is shown; following waits for it. */
  onEvent?: (event: KosEvent, tree: StepTree, progress: Progress) => Promise<void>;
}

/** With no news for so long, the run itself is asked: news may have been lost with the part that tells it. */
const idleMs = 5_000;

const endings: ReadonlySet<KosEvent['type']> = new Set<KosEvent['type']>(['run.succeeded', 'run.failed', 'run.cancelled', 'run.terminated']);

/** Follows a run from its first event to its end, across disconnects and restarts of the server. */
export async function followRun(invocation: Invocation, options: FollowOptions): Promise<FollowOutcome> {
  const { client, interruption } = invocation;
  const { runId } = options;
  const interrupted = interruption.take();
  const signal = options.timeoutMs === null ? interrupted : AbortSignal.any([interrupted, AbortSignal.timeout(options.timeoutMs)]);
  let progress: Progress | null = null;
  const first = await client.runs.get(runId);
  const tree = await startTree(client, first);
  try {
    progress = await options.progress(tree, first);
    if (isFinalRunStatus(first.status)) {
      await fillTree(client, tree, first);
      return { kind: 'ended', run: first };
    }
    return (
      (await followOpenRun(invocation, { options, signal, progress, tree, toldOfStart: null })) ??
      (interrupted.aborted ? { kind: 'detached' } : { kind: 'timed_out' })
    );
  } catch (error) {
    if (!signal.aborted) throw error;
    return interrupted.aborted ? { kind: 'detached' } : { kind: 'timed_out' };
  } finally {
    progress?.end(tree);
    interruption.release();
  }
}

interface Following {
  options: FollowOptions;
  signal: AbortSignal;
  progress: Progress;
  tree: StepTree;
  /** What was told last of why the run has not started yet. */
  toldOfStart: string | null;
}

/** Null: the signal aborted first. */
async function followOpenRun(invocation: Invocation, following: Following): Promise<FollowOutcome | null> {
  const { options, signal, progress, tree } = following;
  const { client } = invocation;
  const { runId } = options;
  for await (const item of followEvents(client.transport, { path: `/v1/runs/${runId}/events`, signal, idleMs })) {
    switch (item.kind) {
      case 'event': {
        applyEvent(tree, item.event);
        await learnItems(client, runId, tree, item.event);
        progress.event(item.event, tree);
        await options.onEvent?.(item.event, tree, progress);
        const outcome = await outcomeAfterEvent(invocation, following, item.event);
        if (outcome !== null) return outcome;
        break;
      }
      case 'delta':
        progress.delta(item.delta);
        break;
      case 'idle': {
        const outcome = await outcomeOfState(invocation, following);
        if (outcome !== null) return outcome;
        break;
      }
      case 'reset':
        for (const line of tree.steps.values()) Object.assign(line, { status: 'pending', startedAt: null, finishedAt: null, items: null, text: null });
        break;
      case 'lost':
        progress.note(`${item.error.message} The run goes on; trying to connect again.`);
        break;
      case 'connected':
        progress.note('Connected again.');
        break;
    }
  }
  return null;
}

async function learnItems(client: Client, runId: string, tree: StepTree, event: KosEvent): Promise<void> {
  const path = openedItems(tree, event);
  if (path === null) return;
  try {
    for (const step of (await client.runs.steps(runId, { path })).items) applyItemTotal(tree, step);
  } catch (error) {
    // The total is an ornament: without it the counts alone are shown.
    if (!(error instanceof KosError)) throw error;
  }
}

async function outcomeAfterEvent(invocation: Invocation, following: Following, event: KosEvent): Promise<FollowOutcome | null> {
  if (endings.has(event.type)) {
    // An old end may be replayed of a run that was reopened since.
    const run = await invocation.client.runs.get(following.options.runId);
    return isFinalRunStatus(run.status) ? { kind: 'ended', run } : null;
  }
  return event.type === 'approval.requested' || (event.type === 'run.waiting' && asksPeople(event)) ? await meetPeople(invocation, following) : null;
}

/** Somebody is to look, and nothing was asked for that has an event of its own. */
function asksPeople({ data }: KosEvent): boolean {
  const waitingFor = data['waitingFor'];
  return typeof waitingFor === 'object' && waitingFor !== null && !Array.isArray(waitingFor) && waitingFor['kind'] === 'approval' && waitingFor['ref'] === null;
}

/** Looks at the run itself; a server that does not answer now is the stream's business. */
async function outcomeOfState(invocation: Invocation, following: Following): Promise<FollowOutcome | null> {
  try {
    const run = await invocation.client.runs.get(following.options.runId);
    following.tree.status = run.status;
    following.tree.waitingFor = run.waitingFor;
    if (isFinalRunStatus(run.status)) return { kind: 'ended', run };
    tellOfStart(following, run);
    // Of approvals in sub-runs no event of this run tells.
    return run.waitingFor?.kind === 'approval' || following.tree.hasSubRuns ? await meetPeople(invocation, following) : null;
  } catch (error) {
    if (error instanceof KosError && error.status >= 500) return null;
    throw error;
  }
}

/** What holds a run back before it starts has no event; a reason that lasts is told once. */
function tellOfStart(following: Following, { id, status, waitingFor }: Run): void {
  const text = status === 'queued' ? (waitingFor?.text ?? null) : null;
  if (text !== null && text !== following.toldOfStart) following.progress.note(`The run has not started. ${text} (kai run why ${id})`);
  following.toldOfStart = text;
}

/** What the run's open approvals mean here: null when they have been decided, or somebody else is to decide. */
async function meetPeople(invocation: Invocation, following: Following): Promise<FollowOutcome | null> {
  const { options, progress, signal } = following;
  if (options.people === 'wait') return null;
  const { items: approvals } = await invocation.client.approvals.list({ run: options.runId, status: 'open', limit: 200 });
  if (approvals.length === 0) return await needsResolution(invocation, options);
  if (options.people === 'return') return await needsPeople(invocation, options.runId, approvals);
  progress.pause();
  try {
    for (const [index, approval] of approvals.entries()) {
      const settled = await decideHere(invocation, approval, signal);
      if (!settled && !signal.aborted) return await needsPeople(invocation, options.runId, approvals.slice(index));
    }
    return null;
  } finally {
    progress.resume();
  }
}

async function needsPeople({ client }: Invocation, runId: string, approvals: Approval[]): Promise<FollowOutcome> {
  return { kind: 'needs_people', run: await client.runs.get(runId), approvals };
}

/** A person is to say what came of an effect: that takes a look outside, so it is not asked here. */
async function needsResolution({ client }: Invocation, { runId }: FollowOptions): Promise<FollowOutcome | null> {
  const run = await client.runs.get(runId);
  return run.status === 'waiting' && run.waitingFor?.kind === 'approval' && run.waitingFor.ref === null ? { kind: 'needs_people', run, approvals: [] } : null;
}

/** How often, while a person thinks, it is looked whether somebody else has decided. */
const lookEveryMs = 2_000;

/** False: "later". A decision made elsewhere takes the question back. */
async function decideHere(invocation: Invocation, approval: Approval, signal: AbortSignal): Promise<boolean> {
  const decidedElsewhere = new AbortController();
  const look = async (): Promise<void> => {
    const { status } = await invocation.client.approvals.get(approval.id);
    if (status !== 'open') decidedElsewhere.abort();
  };
  // A failed look says nothing: the next one asks again, and the decision itself tells what is wrong.
  const timer = setInterval(() => void look().catch(() => undefined), lookEveryMs);
  try {
    const decision = await askForDecision(invocation, approval, AbortSignal.any([signal, decidedElsewhere.signal]));
    if (decidedElsewhere.signal.aborted) {
      invocation.output.say(`Somebody else has decided ${approval.id}.`);
      return true;
    }
    if (decision === 'later') return false;
    await sendDecision(invocation, approval, decision, undefined);
    return true;
  } catch (error) {
    if (!(error instanceof KosError) || error.status !== 409) throw error;
    invocation.output.say(error.message);
    return true;
  } finally {
    clearInterval(timer);
  }
}

async function startTree(client: Client, run: Run): Promise<StepTree> {
  const plan = await client.plans.get(run.plan.name, run.plan.version);
  return createStepTree(plan.document, run.status);
}

/** A page is a round trip of milliseconds, and counts of items that leave some out would be wrong: all are read. */
export async function fillTree(client: Client, tree: StepTree, run: Run): Promise<void> {
  tree.status = run.status;
  tree.waitingFor = run.waitingFor;
  let cursor: string | undefined;
  for (;;) {
    const { items, nextCursor } = await client.runs.steps(run.id, { limit: 200, cursor });
    for (const step of items) applyStep(tree, step);
    if (nextCursor === null) return;
    cursor = nextCursor;
  }
}

/** The run's steps as they stand, for `run get`. */
export async function readTree(client: Client, run: Run): Promise<StepTree> {
  const tree = await startTree(client, run);
  await fillTree(client, tree, run);
  return tree;
}
