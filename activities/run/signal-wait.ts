import { KosError } from '#core/errors.ts';
import type { WaitOpened } from '#core/engine/outcome.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import { type SignalStep, signalNamePattern, stepDefaults } from '#schemas/plan.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { endStep } from '#services/runs/ledger/record-outcome.ts';
import type { TakenStep } from '#services/runs/ledger/take-step.ts';
import { closeWait, openWaitRow } from '#services/runs/ledger/waits.ts';
import { signalOfWait, takeBufferedSignal, type TakenSignal } from '#services/signals/ledger.ts';
import type { RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { failStep } from './fail-step.ts';
import { asObject } from './resolve-input.ts';
import type { EndedAtOnce, Opened, Opening } from './opening.ts';

/** A signal that came before its step ends it at once; else the step waits. Under the run's lock on signals, so that none comes between. */
export async function openSignal(
  { dependencies, sql, work, compiled, step, toldTo, scope }: Opening,
  signal: SignalStep['signal'],
): Promise<Opened | EndedAtOnce> {
  const { name } = asObject(await dependencies.evaluator.evaluate(compiled.input, scope));
  if (typeof name !== 'string' || !signalNamePattern.test(name)) throw nameInvalid(step.path, name);
  const buffered = await takeBufferedSignal(sql, work.claim.runId, name, step.path);
  if (buffered !== null) return endedBy(buffered);
  const deadline = { inMs: signal.expiresInMs ?? stepDefaults.signal.expiresInMs };
  const { waitId, endsInMs, expiresAt } = await openWaitRow(sql, work.claim, step.path, 'signal', deadline, { signalName: name, toldTo });
  const until = expiresAt?.toISOString() ?? null;
  return { waitId, endsInMs, waitingFor: { kind: 'signal', ref: name, until, text: `${step.path} waits for the signal ${name}.` } };
}

const endedBy = ({ id, payload, sentBy }: TakenSignal): EndedAtOnce => ({ output: payload, metadata: { signalId: id, sentBy } });

const nameInvalid = (stepPath: string, name: unknown): KosError =>
  new KosError({
    code: 'signal_name_invalid',
    message: `The name of the signal of ${stepPath} gave ${JSON.stringify(name ?? null).slice(0, 200)}, which is no name of a signal.`,
    fix: 'Let it give letters, digits and _ . : @ / -, at most 128, a letter or digit first.',
    status: 422,
  });

/** The wait was ended by a signal, or by its clock. */
export async function endSignal(
  dependencies: RunActivityDependencies,
  sql: TransactionSql,
  work: RunWork,
  compiled: CompiledStep,
  step: TakenStep,
  waitId: string,
): Promise<WaitOpened> {
  const taken = await signalOfWait(sql, work.claim.runId, waitId);
  if (taken !== null) {
    await endStep(sql, work.claim, step, { status: 'succeeded', error: null, costMicros: 0, ...endedBy(taken) });
    return { outcome: 's' };
  }
  await closeWait(sql, waitId, 'expired');
  const goesOn = 'signal' in compiled.definition && compiled.definition.signal.onExpiry === 'continue';
  if (goesOn) {
    await endStep(sql, work.claim, step, { status: 'succeeded', output: null, error: null, costMicros: 0, metadata: { expired: true } });
    return { outcome: 's' };
  }
  const error = {
    code: 'signal_expired',
    message: `The signal that ${step.path} waits for did not come in time.`,
    fix: 'Start the run again and send it, or raise expiresInMs of the signal; onExpiry: continue goes on without it.',
    stepPath: step.path,
  };
  return { outcome: await failStep(dependencies, sql, { ...work, compiled }, step, error) };
}
