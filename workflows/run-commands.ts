import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  getExternalWorkflowHandle,
  isCancellation,
  type LocalActivityOptions,
  ParentClosePolicy,
  proxyActivities,
  proxyLocalActivities,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { createRunActivities, LoadedRun } from '#activities/run/run-activities.ts';
import type { RunEvent } from '#core/engine/apply-event.ts';
import type { Claim } from '#core/engine/claim.ts';
import type { Control } from '#core/engine/control.ts';
import type { Command } from '#core/engine/decide.ts';
import type { StepsSkipped, UnitResult } from '#core/engine/outcome.ts';
import { isPayloadRefused } from '#core/engine/payload-refused.ts';
import type { RunState } from '#core/engine/state.ts';
import type { PlanShape } from '#schemas/shape.ts';
import { bookkeepingOptions, quickOptions, type Served, servedBy, unitOptions } from './activity-options.ts';
import { makeWindowWorkflowId, workflowTypes } from './ids.ts';
import { QuickTurns } from './quick-turns.ts';
import { itemSummary, labelOf, rangeSummary, stepsSummary, type Summary } from './summaries.ts';
import { type StopWindowSignal, stopWindowSignalName, type WindowControlSignal, windowControlSignalName } from './messages.ts';

type RunActivities = ReturnType<typeof createRunActivities>;
type RunActivityProxies = ReturnType<typeof proxyActivities<RunActivities>>;
type UnitTask = Parameters<RunActivities['executeUnit']>[0];

export const refusedPayload = (what: string): ApplicationFailure =>
  ApplicationFailure.nonRetryable(`${what} was not sealed by this installation's key and was refused`, 'payload_refused');

/** What an activity answered; a payload that was not sealed by us ends the run. */
export async function trusted<Result>(answer: Promise<Result>, what: string): Promise<Result> {
  const result = await answer;
  if (isPayloadRefused(result)) throw refusedPayload(`the result of ${what}`);
  return result;
}

/** Null when another claim holds the run. */
export async function loadProgress(claim: Claim): Promise<LoadedRun | null> {
  return await trusted(proxyActivities<RunActivities>(bookkeepingOptions()).loadRun({ claim }), 'loadRun');
}

const placeOf = ({ step, item }: { step: number; item?: number }): { step: number; item?: number } => (item === undefined ? { step } : { step, item });

/** Carries out the engine's commands and tells what came of them. */
export class RunCommands {
  inFlight = 0;
  /** An error that no retry mends: ends the workflow, and the reconciler tells it on the run. */
  fault: Error | null = null;
  private readonly claim: Claim;
  private readonly rules: number;
  private readonly tell: (event: RunEvent) => void;
  private readonly rouse: () => void;
  /** Commands are performed inside it: what they start ends with it. */
  private readonly work: CancellationScope;
  /** A unit that would have to wait for its turn has an activity instead. */
  private readonly quickTurns = new QuickTurns();
  private served: Served = {};
  /** By workflow id; settled once Temporal has started it. */
  private readonly windowStarts = new Map<string, Promise<void>>();

  constructor(claim: Claim, rules: number, work: CancellationScope, listener: { tell: (event: RunEvent) => void; rouse: () => void }) {
    this.claim = claim;
    this.rules = rules;
    this.work = work;
    this.tell = listener.tell;
    this.rouse = listener.rouse;
  }

  /** What is begun from here on is served by this priority. */
  serveBy(priority: number | undefined): void {
    this.served = servedBy(priority, workflowInfo().priority?.priorityKey);
  }

  private bookkeepingOf(summary: Summary): RunActivityProxies {
    return proxyActivities<RunActivities>({ ...bookkeepingOptions(summary), ...this.served });
  }

  perform(command: Command, shape: PlanShape, state: RunState): void {
    const { claim } = this;
    switch (command.do) {
      case 'unit': {
        const { unit, alone, closes } = command;
        const members = shape.units[unit] ?? [];
        const timeoutMs = members.reduce((sum, member) => sum + (shape.steps[member]?.timeoutMs ?? 0), 0);
        const steps = members.filter((member) => state.steps[member]?.status !== 'ended');
        const task = { claim, steps, alone, closes };
        const summary = stepsSummary(shape, steps);
        const elsewhere = () => proxyActivities<RunActivities>({ ...unitOptions(timeoutMs, summary), ...this.served }).executeUnit(task);
        // Behind its first stretch a chain is known to be long.
        const quickly = shape.quick?.includes(unit) === true && steps.length === members.length && !this.quickTurns.taken;
        const answer = quickly ? () => this.executeQuickly(task, quickOptions(timeoutMs, summary), elsewhere) : elsewhere;
        this.start('executeUnit', answer, (result) => ({ what: 'unit', unit, result }), { what: 'unit', unit, result: { outcomes: 'c' } });
        return;
      }
      case 'item': {
        const { step, item, alone } = command;
        const options = { ...unitOptions(shape.steps[step]?.timeoutMs ?? 0, itemSummary(labelOf(shape, step), item)), ...this.served };
        const answer = () => proxyActivities<RunActivities>(options).executeItem({ claim, step, item, alone });
        this.start('executeItem', answer, (result) => ({ what: 'item', step, item, result }), { what: 'item', step, item, result: { outcomes: 'c' } });
        return;
      }
      case 'batch': {
        const { step, from, to } = command;
        const options = quickOptions(shape.steps[step]?.timeoutMs ?? 0, rangeSummary(labelOf(shape, step), from, to));
        const answer = () => this.quickTurns.take(() => proxyLocalActivities<RunActivities>(options).tryItems({ claim, step, from, to }));
        this.start('tryItems', answer, (result) => ({ what: 'batch', step, from, to, result }), { what: 'batch', step, from, to, result: { outcomes: 'c' } });
        return;
      }
      case 'openItems': {
        const { step, alone } = command;
        this.start(
          'openItems',
          () => this.bookkeepingOf(itemSummary(labelOf(shape, step))).openItems({ claim, step, alone }),
          (result) => ({ what: 'itemsOpened', step, result }),
          { what: 'itemsOpened', step, result: { outcome: 'c' } },
        );
        return;
      }
      case 'joinItems': {
        const { step, closes } = command;
        this.start(
          'joinItems',
          () => this.bookkeepingOf(itemSummary(labelOf(shape, step))).joinItems({ claim, step, closes }),
          (result) => ({ what: 'itemsJoined', step, result }),
          { what: 'itemsJoined', step, result: { outcomes: 'c' } },
        );
        return;
      }
      case 'openWait': {
        const place = placeOf(command);
        this.start(
          'openWait',
          () => this.bookkeepingOf(itemSummary(labelOf(shape, command.step), command.item)).openWait({ claim, ...place, alone: command.alone }),
          (result) => ({ what: 'waitOpened', ...place, result }),
          { what: 'waitOpened', ...place, result: { outcome: 'c' } },
        );
        return;
      }
      case 'settleWait': {
        const place = placeOf(command);
        this.start(
          'settleWait',
          () => this.bookkeepingOf(itemSummary(labelOf(shape, command.step), command.item)).settleWait({ claim, ...place, waitId: command.waitId }),
          (result) => ({ what: 'waitSettled', ...place, result }),
          { what: 'waitSettled', ...place, result: { outcome: 'c' } },
        );
        return;
      }
      case 'skip': {
        const { steps } = command;
        const told = (result: StepsSkipped): RunEvent => ({ what: 'skipped', steps, result });
        this.start('skipSteps', () => this.bookkeepingOf(stepsSummary(shape, steps)).skipSteps({ claim, steps }), told, told({ superseded: false }));
        return;
      }
      case 'startWindow':
        this.startWindow(command, shape);
        return;
      case 'cancelWork':
        this.work.cancel();
        return;
      case 'tellWindows':
        this.tellWindows(state, command.control);
        return;
      case 'stopWindows':
        this.stopWindows(state, command);
        return;
      case 'markWaiting':
        this.bookkeep(
          'markWaiting',
          () => this.bookkeepingOf({}).markWaiting({ claim }),
          () => ({ what: 'tick' }),
        );
        return;
      case 'undo': {
        const { ending, timeoutMs } = command;
        this.bookkeep(
          'undoSteps',
          () => proxyActivities<RunActivities>({ ...unitOptions(timeoutMs, {}), ...this.served }).undoSteps({ claim, ending }),
          (result) => ({ what: 'undone', result }),
        );
        return;
      }
      case 'close': {
        const { ending } = command;
        this.bookkeep(
          'closeRun',
          () => this.bookkeepingOf({}).closeRun({ claim, ending }),
          () => ({ what: 'closed' }),
        );
        return;
      }
    }
  }

  /** A Signal moves nothing by itself: whether the run is to be cancelled or paused stands in Postgres. */
  readControl(): void {
    this.bookkeep(
      'readControl',
      () => this.bookkeepingOf({}).readControl({ claim: this.claim }),
      (control) => ({ what: 'control', control }),
    );
  }

  reportRefused(message: string): void {
    this.bookkeep(
      'recordRefusedMessage',
      () => this.bookkeepingOf({}).recordRefusedMessage({ claim: this.claim, message }),
      () => ({ what: 'tick' }),
    );
  }

  /** Work of the run: ends early when the run is cancelled. `cancelled` stands in when it never began. One promise of ours for each activity and no more. */
  private start<Result>(name: string, answer: () => Promise<Result>, tell: (result: Result) => RunEvent, cancelled: RunEvent): void {
    this.inFlight += 1;
    void answer().then(
      (result) => {
        this.inFlight -= 1;
        if (isPayloadRefused(result)) this.fail(refusedPayload(`the result of ${name}`));
        else this.tell(tell(result));
      },
      (error: unknown) => {
        this.inFlight -= 1;
        if (isCancellation(error)) this.tell(cancelled);
        else this.fail(error);
      },
    );
  }

  /** In this very workflow task; what takes longer than that should is left to an activity. */
  private async executeQuickly(task: UnitTask, options: LocalActivityOptions, elsewhere: () => Promise<UnitResult>): Promise<UnitResult> {
    const result = await this.quickTurns.take(() => proxyLocalActivities<RunActivities>(options).tryUnit(task));
    return result ?? (await elsewhere());
  }

  private bookkeep<Result>(name: string, answer: () => Promise<Result>, tell: (result: Result) => RunEvent): void {
    void this.track(() => trusted(answer(), name).then(tell));
  }

  /** Goes on when the run's work, or the workflow itself, was cancelled: the record is still to be written. */
  private track(event: () => Promise<RunEvent>): Promise<void> {
    this.inFlight += 1;
    return CancellationScope.nonCancellable(event).then(
      (happened) => {
        this.inFlight -= 1;
        this.tell(happened);
      },
      (error: unknown) => {
        this.inFlight -= 1;
        this.fail(error);
      },
    );
  }

  private fail(error: unknown): void {
    this.fault = error instanceof Error ? error : new Error(String(error));
    this.rouse();
  }

  private startWindow(command: Extract<Command, { do: 'startWindow' }>, shape: PlanShape): void {
    const { step, from, to, concurrency, maxInFlight, quick } = command;
    const { runId, workspaceId, generation, chain } = this.claim;
    const timeoutMs = shape.steps[step]?.timeoutMs ?? 0;
    const ofWaits = maxInFlight === undefined ? {} : { maxInFlight };
    const label = labelOf(shape, step);
    const named = label === null ? {} : { label };
    const ofQuick = quick === undefined ? {} : { quick };
    const args = [{ runId, workspaceId, rules: this.rules, generation, chain, step, timeoutMs, from, to, concurrency, ...ofWaits, ...ofQuick, ...named }];
    const { summary } = rangeSummary(label, from, to);
    const workflowId = makeWindowWorkflowId(runId, generation, step, from);
    const started = this.track(async () => {
      try {
        await startChild(workflowTypes.forEachWindow, {
          workflowId,
          parentClosePolicy: ParentClosePolicy.ABANDON,
          args,
          ...this.served,
          ...(summary === undefined ? {} : { staticSummary: summary }),
        });
      } catch (error) {
        // It runs already, for this run and generation: it will tell when it ends.
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
      return { what: 'tick' };
    });
    this.windowStarts.set(workflowId, started);
  }

  private stopWindows(state: RunState, { cancel, step }: Extract<Command, { do: 'stopWindows' }>): void {
    const signal: StopWindowSignal = { cancel };
    this.signalWindows(state, stopWindowSignalName, signal, step);
  }

  private tellWindows(state: RunState, control: Control): void {
    const signal: WindowControlSignal = { ...control };
    this.signalWindows(state, windowControlSignalName, signal);
  }

  private signalWindows(state: RunState, name: string, signal: StopWindowSignal | WindowControlSignal, only?: number): void {
    const { runId, generation } = this.claim;
    state.steps.forEach((current, step) => {
      if (current.status !== 'items' || (only !== undefined && only !== step)) return;
      for (const [from] of current.items.windows ?? []) {
        const workflowId = makeWindowWorkflowId(runId, generation, step, from);
        // A window that is just being started can be told only when it has been.
        void this.track(async () => {
          await this.windowStarts.get(workflowId);
          try {
            await getExternalWorkflowHandle(workflowId).signal(name, signal);
            return { what: 'tick' };
          } catch {
            // A window that is gone needs no telling; what it left is in its rows.
            return { what: 'window', step, from, failed: false };
          }
        });
      }
    });
  }
}
