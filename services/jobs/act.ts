import type { BulkAction, BulkVerb } from '#schemas/job.ts';
import type { Transaction } from '#services/database/connect.ts';
import { forkRun, replayRun, type ForkDependencies } from '#services/runs/actions/fork.ts';
import type { RunChange } from '#services/runs/actions/locked-run.ts';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { prioritizeRun } from '#services/runs/actions/prioritize.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { assertRepeatable, checkOutput, readStepFacts, type ToolFacts } from '#services/runs/actions/step-definition.ts';
import { overrideStep, resolveStep, skipStep } from '#services/runs/actions/steps-by-hand.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { requestCancel } from '#services/runs/change.ts';
import type { SendRequest } from '#services/signals/send.ts';
import type { JsonCheck } from '#services/tools/json.ts';

export interface BulkDependencies extends ForkDependencies {
  sendSignal: (request: SendRequest) => Promise<unknown>;
  listTools: () => readonly ToolFacts[];
  checkJson: JsonCheck;
}

/** These read and check much before they write: they open their transaction themselves. */
type OwnTransaction = Extract<BulkVerb, 'fork' | 'replay' | 'signal'>;

export type ActionByItself = BulkAction & { verb: OwnTransaction };
export type ActionInTransaction = BulkAction & { verb: Exclude<BulkVerb, OwnTransaction> };

export const opensOwnTransaction = (verb: BulkVerb): verb is OwnTransaction => verb === 'fork' || verb === 'replay' || verb === 'signal';

/** `mark`: called in the transaction that acts, with what the run's place in the job is to say. Throws what the same action on one run throws. */
export async function actByItself(
  dependencies: BulkDependencies,
  action: ActionByItself,
  change: RunChange,
  mark: (transaction: Transaction, told: string | null) => Promise<void>,
): Promise<void> {
  const { workspaceId, actor, runId } = change;
  const { reason, input, from = '', version, name = '', payload = null } = action;
  const rerun = {
    principal: { workspaceId, principalId: actor, responsible: actor },
    runId,
    input,
    reason,
    alsoInTransaction: (transaction: Transaction, made: { runId: string }) => mark(transaction, `It started ${made.runId}.`),
  };
  switch (action.verb) {
    case 'fork':
      await forkRun(dependencies, { ...rerun, from, version });
      return;
    case 'replay':
      await replayRun(dependencies, rerun);
      return;
    case 'signal':
      await dependencies.sendSignal({ ...change, signal: { name, payload }, alsoInTransaction: (transaction) => mark(transaction, null) });
  }
}

/** Throws what the same action on one run throws. */
export async function actIn(transaction: Transaction, dependencies: BulkDependencies, action: ActionInTransaction, change: RunChange): Promise<void> {
  const { verb, reason, priority, undo = true } = action;
  switch (verb) {
    case 'cancel':
      return await requestCancel(transaction, { ...change, reason, undo });
    case 'terminate':
      return await terminateRun(transaction, { ...change, reason });
    case 'pause':
      return await pauseRun(transaction, { ...change, reason });
    case 'resume':
      return await resumeRun(transaction, { ...change, reason });
    case 'retry':
      return await retryRun(transaction, { ...change, reason });
    case 'priority':
      return await prioritizeRun(transaction, { ...change, priority: priority ?? 3 });
    case 'override':
    case 'skip':
    case 'resolve':
      return await actOnStep(transaction, dependencies, { ...action, verb }, change);
  }
}

async function actOnStep(
  transaction: Transaction,
  { listTools, checkJson }: BulkDependencies,
  { verb, path = '', reason, output, outcome }: BulkAction & { verb: 'override' | 'skip' | 'resolve' },
  change: RunChange,
): Promise<void> {
  const onStep = { ...change, path, reason: reason ?? '' };
  const step = await readStepFacts(transaction, change.runId, path);
  if (output !== undefined) await checkOutput(step, output, listTools(), checkJson);
  switch (verb) {
    case 'override':
      return await overrideStep(transaction, { ...onStep, output: output ?? null }, step);
    case 'skip':
      return await skipStep(transaction, onStep, step);
    case 'resolve':
      if (outcome === 'retry') assertRepeatable(step, listTools());
      return await resolveStep(transaction, onStep, step, outcome === 'happened' ? { outcome, output: output ?? null } : { outcome: outcome ?? 'did_not' });
  }
}
