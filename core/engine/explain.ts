import { canUndo } from './compensation.ts';
import { stopsTheRun } from './outcome.ts';
import type { ApprovalFacts, RunFactsForExplain, StepFacts } from './explain-facts.ts';
import { explainUndoing } from './explain-undoing.ts';
import { needsVerdict } from './readiness.ts';
import type { BlockKind, Reason } from './reason.ts';

export interface Explanation {
  runId: string;
  status: string;
  reasons: Reason[];
}

/** `roots`: the steps that others wait for in the end, as far as they are known: in a long chain all have the same. */
type FactsAtHand = RunFactsForExplain & { roots: Map<number, number> };

/** At least one reason for every unfinished step, by the scheduler's own predicates; the run's own reasons stand first. */
export function explain(facts: RunFactsForExplain): Explanation {
  const { runId, status } = facts;
  if (facts.final) return { runId, status, reasons: [] };
  if (facts.undoing !== undefined && facts.undoing !== null)
    return { runId, status, reasons: [...explainEngine(facts), ...explainUndoing(runId, status, facts.undoing)] };
  const atHand: FactsAtHand = { ...facts, roots: new Map() };
  const overdue = explainOverdue(facts);
  if (overdue !== null) return { runId, status, reasons: [...explainEngine(facts), overdue, ...explainStopped(facts, overdue)] };
  const steps = facts.stepIds.flatMap((id, step) =>
    (facts.steps[step]?.outcome ?? null) === null ? [explainStep(atHand, step, id), ...explainWaitingItems(facts, step)] : [],
  );
  const reasons = [...explainEngine(facts), ...steps];
  return { runId, status, reasons: reasons.length === 0 ? [explainClosing(facts)] : reasons };
}

/** Its deadline has passed: what is under way is stopped and nothing more starts, but a pause holds up what is to be undone. */
function explainOverdue({ deadlineAt = null, now, status, pausedAt, shape, runId, cancelRequestedAt }: RunFactsForExplain): Reason | null {
  if (deadlineAt === null || cancelRequestedAt !== null || Date.parse(deadlineAt) > Date.parse(now)) return null;
  const held = pausedAt !== null && canUndo(shape);
  return {
    stepPath: null,
    status,
    blockedBy: { kind: 'ending', ref: null, text: `The deadline of the run, ${deadlineAt}, has passed.` },
    since: deadlineAt,
    until: null,
    unblocks: held
      ? 'With the resume nothing more starts: what was done is undone, and the run fails with run_timeout.'
      : `What runs is stopped${canUndo(shape) ? ', what was done is undone' : ''}; then the run fails with run_timeout.`,
    command: held ? `kai run resume ${runId}` : 'kai status',
  };
}

/** Steps of a run that goes on no more. */
const explainStopped = (facts: RunFactsForExplain, { since }: Reason): Reason[] =>
  facts.stepIds.flatMap((id, step): Reason[] => {
    const row = facts.steps[step];
    if ((row?.outcome ?? null) !== null) return [];
    const text = 'The deadline of the run has passed: it does not go on.';
    const blockedBy = { kind: 'ending' as const, ref: null, text };
    return [{ stepPath: id, status: row?.status ?? 'pending', blockedBy, since, until: null, unblocks: 'Nothing: the run is ending.', command: null }];
  });

/** Every step has ended, and the run has not. */
const explainClosing = ({ status }: RunFactsForExplain): Reason => ({
  stepPath: null,
  status,
  blockedBy: { kind: 'engine', ref: null, text: 'All steps have ended: the run is about to close.' },
  since: null,
  until: null,
  unblocks: 'A worker closes it by itself.',
  command: 'kai status',
});

/** A worker that died once or twice is nothing to tell of. */
const failsAgainAndAgain = 4;

/** Events are numbered within milliseconds; what waits longer than this is a fault. */
const numberedWithinMs = 5_000;

/** Reasons that hold the whole run. */
function explainEngine(facts: RunFactsForExplain): Reason[] {
  const reasons: Reason[] = [];
  const add = (kind: BlockKind, text: string, unblocks: string, command: string | null, since: string | null = null): void => {
    reasons.push({ stepPath: null, status: facts.status, blockedBy: { kind, ref: null, text }, since, until: null, unblocks, command });
  };
  if (facts.cancelRequestedAt !== null && (facts.undoing ?? null) === null)
    add('ending', 'The run is being cancelled.', 'What runs is stopped; then the run ends.', null, facts.cancelRequestedAt);
  if (facts.execution === 'unreachable') add('engine', 'Temporal does not answer.', 'kOS tries again by itself; see whether Temporal runs.', 'kai doctor');
  const ahead = heldBack(facts);
  if (ahead !== null) reasons.push(ahead);
  else if (facts.pendingStart !== null) {
    const because = facts.pendingStart.lastError === null ? '' : ` (${facts.pendingStart.lastError})`;
    add('engine', `The run has not been started in Temporal yet${because}.`, 'kOS tries again by itself.', 'kai status', facts.pendingStart.since);
  } else if (facts.execution === 'missing') {
    add('engine', 'Temporal knows nothing of the run.', 'The reconciler has it go on from Postgres within 10 seconds.', 'kai status');
  } else if (facts.execution === 'closed') {
    const text = "The run's execution in Temporal has ended, and the run has not.";
    add('engine', text, 'The reconciler ends the run by what Temporal says, within 10 seconds. What is decided meanwhile changes nothing.', 'kai status');
  }
  if (facts.pollers === 0) add('worker', 'No worker polls the queue.', 'A worker starts: the supervisor restarts a lost one by itself.', 'kai status');
  if (facts.workflowTaskAttempt > 1) {
    const text = `The run's workflow task is tried again (attempt ${facts.workflowTaskAttempt}): its worker does not answer, or its code does not fit the history of the run.`;
    add(
      'engine',
      text,
      'The supervisor restarts a worker that shows no sign of life. The last failure says what else is to be mended.',
      `kai run debug ${facts.runId}`,
    );
  }
  if (facts.activityAttempt >= failsAgainAndAgain) {
    const text = `What works for the run fails again and again (attempt ${facts.activityAttempt}): workers are lost in it, or it cannot be recorded.`;
    add('engine', text, 'Temporal tries again by itself. Its last failure says what to mend.', `kai run debug ${facts.runId}`);
  }
  if (facts.pausedAt !== null) {
    const text = facts.waitingFor?.kind === 'paused' ? facts.waitingFor.text : 'The run is paused.';
    add('paused', text, 'Somebody resumes it. Steps that run are finished meanwhile.', resumeCommand(facts), facts.pausedAt);
    const ahead = explainDeadlineAhead(facts);
    if (ahead !== null) reasons.push(ahead);
  }
  const { unnumberedSince } = facts;
  if (unnumberedSince !== null && Date.parse(facts.now) - Date.parse(unnumberedSince) > numberedWithinMs)
    add('engine', 'Events are not numbered: streams and logs show an old state.', 'The sequencer goes on by itself.', 'kai status', unnumberedSince);
  return reasons;
}

/** A pause stops no clock. */
function explainDeadlineAhead({ deadlineAt = null, now, status, pausedAt, shape }: RunFactsForExplain): Reason | null {
  if (deadlineAt === null || Date.parse(deadlineAt) <= Date.parse(now)) return null;
  return {
    stepPath: null,
    status,
    blockedBy: { kind: 'timer', ref: null, text: `The deadline of the run, ${deadlineAt}, stays while it is paused.` },
    since: pausedAt,
    until: deadlineAt,
    unblocks: canUndo(shape)
      ? 'From then on nothing more starts: with the resume what was done is undone, and the run fails with run_timeout.'
      : 'Then the run fails with run_timeout, paused as it is.',
    command: null,
  };
}

/** A run that is not to be started yet: its time has not come, its plan lets no more of its runs be open at once, the disk is full, or the workspace holds all starts. */
function heldBack({ runId, status, createdAt, waitingFor: told, waitsToStart = null }: RunFactsForExplain): Reason | null {
  const waitingFor = status === 'queued' ? told : waitsToStart;
  if (waitingFor === null) return null;
  if (waitingFor.kind === 'engine' && waitingFor.ref === 'disk') return heldForDisk(status, createdAt, waitingFor.text);
  if (waitingFor.kind !== 'timer' && waitingFor.kind !== 'concurrency' && waitingFor.kind !== 'paused') return null;
  const { ref, until, text } = waitingFor;
  const kind: BlockKind = waitingFor.kind;
  const base = { stepPath: null, status, blockedBy: { kind, ref, text }, since: createdAt, until };
  if (kind === 'paused') return { ...base, unblocks: 'Somebody lets runs start again.', command: 'kai resume --all' };
  if (kind === 'timer') return { ...base, unblocks: 'It starts by itself at its time.', command: `kai run cancel ${runId}` };
  if (ref === null)
    return { ...base, unblocks: 'A run of the workspace must end or wait; or an admin lets more be at work.', command: 'kai settings set runsAtOnce N' };
  return { ...base, unblocks: 'A run that holds a slot must end; to make room at once, cancel one.', command: `kai run cancel ${ref}` };
}

const heldForDisk = (status: string, since: string, text: string): Reason => ({
  stepPath: null,
  status,
  blockedBy: { kind: 'engine', ref: null, text },
  since,
  until: null,
  unblocks: 'Somebody frees space on that disk; the run then starts by itself.',
  command: 'kai doctor',
});

function explainStep(facts: FactsAtHand, step: number, id: string): Reason {
  const row = facts.steps[step];
  const base = { stepPath: id, status: row?.status ?? 'pending' };
  if (row?.status === 'uncertain') {
    const { path, round, startedAt } = row;
    return { ...base, ...(row.items === null ? explainUncertain(facts.runId, (round ?? null)?.path ?? path, startedAt) : explainUncertainItems(row)) };
  }
  if (row !== undefined && row.waitingFor !== null) return { ...base, ...explainWait(facts.runId, row, row.waitingFor) };
  if (row !== undefined && row.items !== null) return { ...base, ...explainItems(row, row.items) };
  if (row?.status === 'running') return { ...base, ...explainWork(facts, step, row) };
  return { ...base, ...explainPending(facts, step) };
}

/** Each has its own decision, time or signal to wait for, or effect to be resolved, and its own command. */
const explainWaitingItems = (facts: RunFactsForExplain, step: number): Reason[] =>
  facts.waitingItems.flatMap((item) => {
    if (item.step !== step) return [];
    const base = { stepPath: item.path, status: item.status };
    if (item.status === 'uncertain') return [{ ...base, ...explainUncertain(facts.runId, item.uncertainRound ?? item.path, item.startedAt) }];
    return item.waitingFor === null ? [] : [{ ...base, ...explainWait(facts.runId, item, item.waitingFor) }];
  });

type Explained = Omit<Reason, 'stepPath' | 'status'>;

/** `path`: of a step or an item that repeats, the round for which it is uncertain. */
const explainUncertain = (runId: string, path: string, since: string | null): Explained => ({
  blockedBy: { kind: 'approval', ref: null, text: 'Its effect may have happened, and nobody but a person can say.' },
  since,
  until: null,
  unblocks: 'Somebody looks outside and says what came of it: happened or did-not.',
  command: `kai run resolve ${runId} '${path}' happened|did-not --reason R`,
});

/** A `forEach` some of whose items are uncertain; those are explained behind it. */
function explainUncertainItems({ startedAt, uncertainItems = 0 }: StepFacts): Explained {
  const text = `The effects of ${uncertainItems} of its items may have happened, and nobody but a person can say.`;
  return { blockedBy: { kind: 'items', ref: null, text }, since: startedAt, until: null, unblocks: 'Each of them must be resolved.', command: null };
}

function decisionNeeded({ from, required, approvedBy, fourEyes, claimedBy, claimedUntil }: ApprovalFacts): string {
  const people = required === 1 ? 'A decision' : `${required - approvedBy} more of ${required} approvals, each by another person, or one denial,`;
  const eyes = fourEyes ? ', but not who answers for the run' : '';
  const claim = claimedBy === null ? '' : ` ${claimedBy} looks at it until ${claimedUntil ?? 'then'}.`;
  return `${people} by ${from}${eyes}.${claim}`;
}

function explainWait(runId: string, row: Pick<StepFacts, 'startedAt' | 'approval' | 'typed'>, wait: NonNullable<StepFacts['waitingFor']>): Explained {
  const { ref, until, text } = wait;
  const since = row.startedAt;
  switch (wait.kind) {
    case 'approval':
      return {
        blockedBy: { kind: 'approval', ref, text },
        since,
        until,
        unblocks: row.approval === undefined || row.approval === null ? 'A decision by somebody who may take it.' : decisionNeeded(row.approval),
        command: `kai approval approve ${ref ?? ''}`,
      };
    case 'run':
      return { blockedBy: { kind: 'run', ref, text }, since, until, unblocks: 'That run must end.', command: `kai run why ${ref ?? ''}` };
    case 'signal':
      return {
        blockedBy: { kind: 'signal', ref, text },
        since,
        until,
        unblocks: row.typed === true ? 'The signal is sent to the run, with a payload that fits the schema of the step.' : 'The signal is sent to the run.',
        command: `kai run signal ${runId} ${ref ?? ''}${row.typed === true ? ' --payload JSON' : ''}`,
      };
    case 'timer':
      return { blockedBy: { kind: 'timer', ref, text }, since, until, unblocks: 'It ends by itself.', command: null };
    case 'retry':
      return { blockedBy: { kind: 'retry', ref, text }, since, until, unblocks: 'The next attempt starts by itself.', command: `kai run logs ${runId}` };
    default:
      return { blockedBy: { kind: 'engine', ref, text }, since, until, unblocks: 'kOS goes on by itself.', command: `kai run logs ${runId}` };
  }
}

function explainItems(row: StepFacts, items: NonNullable<StepFacts['items']>): Explained {
  const { count, ended, running, retrying, waiting, failed, nextAt = null } = items;
  const waits = waiting === 0 ? '' : `, ${waiting} wait`;
  const text = `${ended} of ${count} items have ended (${failed} failed), ${running} run${waits}, ${retrying} wait for another attempt.`;
  return { blockedBy: { kind: 'items', ref: null, text }, since: row.startedAt, until: nextAt, unblocks: 'Its items must end.', command: null };
}

function explainWork(facts: RunFactsForExplain, step: number, row: StepFacts): Explained {
  const { timeoutMs = 0, repeat } = facts.shape.steps[step] ?? {};
  const { attempt, startedAt } = row.round ?? row;
  const until = startedAt === null ? null : new Date(Date.parse(startedAt) + timeoutMs).toISOString();
  const round = repeat === undefined ? '' : ` in round ${(row.round?.iteration ?? 0) + 1} of at most ${repeat.maxIterations}`;
  const text = `It works${round} (attempt ${attempt}); one attempt may take ${timeoutMs} ms.`;
  return {
    blockedBy: { kind: 'work', ref: null, text },
    since: startedAt,
    until,
    unblocks:
      repeat === undefined
        ? 'It must end, or its time-out stops it.'
        : 'The round must end, or its time-out stops it; then its condition says whether another follows.',
    command: `kai run logs ${facts.runId}`,
  };
}

function explainPending(facts: FactsAtHand, step: number): Explained {
  const shape = facts.shape.steps[step];
  const verdict = shape === undefined ? { verdict: 'ready' as const } : needsVerdict(shape, (need) => facts.steps[need]?.outcome ?? null);
  const nameOf = (need: number): string => facts.stepIds[need] ?? String(need);
  switch (verdict.verdict) {
    case 'blocked':
      return blockedByNeeds(facts, step, verdict.by);
    case 'never':
      return {
        blockedBy: { kind: 'ending', ref: nameOf(verdict.because), text: `${nameOf(verdict.because)} failed: this step will not start.` },
        since: null,
        until: null,
        unblocks: 'Nothing: the run is ending.',
        command: null,
      };
    case 'skip':
      return {
        blockedBy: { kind: 'engine', ref: nameOf(verdict.because), text: `${nameOf(verdict.because)} was skipped: this step is about to be skipped.` },
        since: null,
        until: null,
        unblocks: 'kOS goes on by itself.',
        command: null,
      };
    case 'ready':
      return explainReady(facts);
  }
}

/** The command that helps is that of the step at the root: what is needed may itself need others. */
function blockedByNeeds(facts: FactsAtHand, step: number, needs: number[]): Explained {
  const names = needs.map((need) => facts.stepIds[need] ?? String(need));
  const root = rootOfNeeds(facts, needs[0] ?? 0);
  const rootName = facts.stepIds[root] ?? String(root);
  const { command } = explainStep(facts, root, rootName);
  const before = needs.includes(root) ? '' : `, and before ${names.length === 1 ? 'it' : 'them'} ${rootName}`;
  return {
    blockedBy: { kind: 'needs', ref: names[0] ?? null, text: `It needs ${names.join(', ')}, which ${names.length === 1 ? 'has' : 'have'} not ended.` },
    since: blockedSince(facts, step),
    until: null,
    unblocks: `${names.join(', ')} must end first${before}${command === null ? '' : `; the command is that of ${rootName}`}.`,
    command,
  };
}

/** Since the last of its other needs ended; where none has, since the run began. */
function blockedSince({ shape, steps, startedAt = null, createdAt }: RunFactsForExplain, step: number): string {
  const ended = (shape.steps[step]?.needs ?? []).flatMap((need) => steps[need]?.finishedAt ?? []).toSorted();
  return ended.at(-1) ?? startedAt ?? createdAt;
}

/** From a step that has not ended back to one that waits for no other. */
function rootOfNeeds(facts: FactsAtHand, from: number): number {
  const known = facts.roots;
  const way: number[] = [];
  let step: number | undefined = from;
  let root = from;
  while (step !== undefined) {
    way.push(step);
    root = known.get(step) ?? step;
    step = root === step ? firstNeedOf(facts, step) : undefined;
  }
  for (const passed of way) known.set(passed, root);
  return root;
}

/** Undefined: it has begun, or nothing that it needs holds it up. */
function firstNeedOf(facts: RunFactsForExplain, step: number): number | undefined {
  const shape = facts.shape.steps[step];
  if (shape === undefined || facts.steps[step] !== undefined) return undefined;
  const verdict = needsVerdict(shape, (need) => facts.steps[need]?.outcome ?? null);
  return verdict.verdict === 'blocked' ? verdict.by[0] : undefined;
}

/** Of a run that was paused with the one that started it: that one. */
const resumeCommand = ({ runId, waitingFor }: RunFactsForExplain): string =>
  `kai run resume ${waitingFor?.kind === 'paused' ? (waitingFor.ref ?? runId) : runId}`;

function explainReady(facts: RunFactsForExplain): Explained {
  const ended = facts.steps.find((row) => row !== undefined && row.outcome !== null && stopsTheRun(row.outcome));
  if (ended !== undefined) {
    const text = `${ended.path} failed: nothing new starts.`;
    return { blockedBy: { kind: 'ending', ref: ended.path, text }, since: null, until: null, unblocks: 'Nothing: the run is ending.', command: null };
  }
  if (facts.pausedAt !== null) {
    const command = resumeCommand(facts);
    return {
      blockedBy: { kind: 'paused', ref: null, text: 'The run is paused.' },
      since: facts.pausedAt,
      until: null,
      unblocks: 'Somebody resumes it.',
      command,
    };
  }
  const working = facts.steps.reduce((sum, row) => sum + (row?.status === 'running' ? (row.items?.running ?? 1) : 0), 0);
  if (working >= facts.shape.maxInFlight) {
    const text = `${working} units of this run work at once, as many as its plan allows.`;
    return { blockedBy: { kind: 'limit', ref: null, text }, since: null, until: null, unblocks: 'One of them must end.', command: null };
  }
  if (heldBack(facts) !== null) {
    const text = 'The run has not started: see above.';
    return { blockedBy: { kind: 'run', ref: null, text }, since: null, until: null, unblocks: 'The run must start.', command: null };
  }
  return {
    blockedBy: { kind: 'engine', ref: null, text: 'It is ready and about to start.' },
    since: facts.createdAt,
    until: null,
    unblocks: 'A worker takes it up by itself.',
    command: 'kai status',
  };
}
