import {
  CancellationScope,
  continueAsNew,
  defineSignal,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { createRunActivities } from '#activities/run/run-activities.ts';
import type { Claim } from '#core/engine/claim.ts';
import { decideWindow, restoreWindow, type WindowEvent, type WindowState } from '#core/engine/decide-window.ts';
import type { WaitingItem } from '#core/engine/items.ts';
import { isPayloadRefused } from '#core/engine/payload-refused.ts';
import type { ItemRange } from '#core/engine/outcome.ts';
import { bookkeepingOptions, quickOptions, type Served, servedBy, unitOptions } from './activity-options.ts';
import { Alarm } from './alarm.ts';
import { GenerationClock } from './generation.ts';
import { Inbox } from './inbox.ts';
import { makeRunWorkflowId } from './ids.ts';
import {
  type DecisionSignal,
  decisionSignalName,
  type StopWindowSignal,
  stopWindowSignalName,
  type WindowControlSignal,
  windowControlSignalName,
  windowEndedSignalName,
} from './messages.ts';
import type { WindowInput } from './plan-run-input.ts';
import { refusedPayload, trusted } from './run-commands.ts';
import { itemSummary, rangeSummary, type Summary } from './summaries.ts';

const stopSignal = defineSignal<[StopWindowSignal]>(stopWindowSignalName);
const controlSignal = defineSignal<[WindowControlSignal]>(windowControlSignalName);
const decisionSignal = defineSignal<[DecisionSignal]>(decisionSignalName);
type RunActivities = ReturnType<typeof createRunActivities>;

/** Up to 500 items of a large `forEach`. Works on its run's rows under its run's claim, and tells the run when it is through. */
export async function forEachWindow(input: WindowInput): Promise<void> {
  if (input === undefined || isPayloadRefused(input)) throw refusedPayload('the input of a window');
  // Only its run ends it: a cancel by Temporal's own means would leave the run waiting.
  await CancellationScope.nonCancellable(() => new ForEachWindow(input).live());
}

class ForEachWindow {
  private readonly input: WindowInput;
  private readonly claim: Claim;
  private readonly inbox = new Inbox<WindowEvent>();
  private readonly clock = new GenerationClock();
  private readonly alarm = new Alarm(() => this.inbox.push({ what: 'tick' }));
  private readonly work = new CancellationScope({ cancellable: true });
  private served: Served = {};
  private inFlight = 0;
  private fault: Error | null = null;

  constructor(input: WindowInput) {
    this.input = input;
    this.claim = { runId: input.runId, workspaceId: input.workspaceId, generation: input.generation, chain: input.chain };
    setHandler(stopSignal, (signal) => {
      if (signal === undefined || isPayloadRefused(signal)) return;
      if (signal.cancel) this.work.cancel();
      this.inbox.push({ what: 'stop' });
    });
    setHandler(controlSignal, (control) => {
      if (control === undefined || isPayloadRefused(control)) return;
      this.inbox.push({ what: 'control', control });
    });
    // One that somebody else sealed is dropped: a decision is found in its row, by the next look at the latest.
    setHandler(decisionSignal, (signal) => {
      if (signal !== undefined && !isPayloadRefused(signal)) this.inbox.push({ what: 'decision', waitId: signal.waitId });
    });
  }

  async live(): Promise<void> {
    const { step, from, to } = this.input;
    const loaded = await trusted(this.bookkeeping().loadWindow({ claim: this.claim, step, from, to, ...this.toldTo }), 'loadWindow');
    const state = await this.work.run(() => this.workUntilOver(restoreWindow(loaded, this.input, Date.now(), this.input.rules)));
    this.alarm.cancel();
    await this.tellRun(state.items.failed);
  }

  private async workUntilOver(start: WindowState): Promise<WindowState> {
    let state = start;
    for (;;) {
      this.clock.update(Date.now());
      const decision = decideWindow(state, this.inbox.take(), Date.now(), this.clock.draining);
      state = decision.state;
      this.serveBy(state.control.priority ?? this.input.priority);
      if (decision.batch !== null) this.startBatch(decision.batch);
      for (const item of decision.start) this.startItem(item);
      for (const waiting of decision.settle) this.settle(waiting);
      if (decision.markWaiting) this.markWaiting();
      if (decision.over) return state;
      if (this.clock.draining && this.inFlight === 0 && this.inbox.isEmpty) await this.handOver(state);
      this.alarm.set(decision.wakeAtMs ?? this.clock.wakeAtMs);
      if (this.inbox.isEmpty && this.fault === null) await this.inbox.sleep();
      if (this.fault !== null) throw this.fault;
    }
  }

  /** The execution that follows is served as this one was started. */
  private async handOver({ control }: WindowState): Promise<void> {
    const priority = control.priority ?? this.input.priority;
    await continueAsNew<typeof forEachWindow>({ ...this.input, ...(priority === undefined ? {} : { priority }) });
  }

  private serveBy(priority: number | undefined): void {
    this.served = servedBy(priority, workflowInfo().priority?.priorityKey);
  }

  private bookkeeping(summary: Summary = {}) {
    return proxyActivities<RunActivities>({ ...bookkeepingOptions(summary), ...this.served });
  }

  /** Decisions on what waits here come to this workflow, not to its run's. */
  private get toldTo(): { toldTo?: string } {
    return this.input.maxInFlight === undefined ? {} : { toldTo: workflowInfo().workflowId };
  }

  private summaryOf(item: number): Summary {
    return itemSummary(this.input.label ?? null, item);
  }

  private startItem(item: number): void {
    const { claim } = this;
    const { step, timeoutMs, maxInFlight } = this.input;
    if (maxInFlight !== undefined) {
      this.start(
        'openWait',
        this.bookkeeping(this.summaryOf(item)).openWait({ claim, step, item, alone: false, ...this.toldTo }),
        (result) => ({ what: 'waitOpened', item, result }),
        {
          what: 'waitOpened',
          item,
          result: { outcome: 'c' },
        },
      );
      return;
    }
    const work = proxyActivities<RunActivities>({ ...unitOptions(timeoutMs, this.summaryOf(item)), ...this.served });
    this.start('executeItem', work.executeItem({ claim, step, item, alone: false }), (result) => ({ what: 'item', item, result }), {
      what: 'item',
      item,
      result: { outcomes: 'c' },
    });
  }

  /** One at a time: there is no other local activity here. */
  private startBatch([from, to]: ItemRange): void {
    const { claim } = this;
    const { step, timeoutMs, label } = this.input;
    const work = proxyLocalActivities<RunActivities>(quickOptions(timeoutMs, rangeSummary(label ?? null, from, to)));
    const cancelled: WindowEvent = { what: 'batch', from, to, result: { outcomes: 'c' } };
    this.start('tryItems', work.tryItems({ claim, step, from, to }), (result) => ({ what: 'batch', from, to, result }), cancelled);
  }

  private settle({ item, waitId }: WaitingItem): void {
    const { claim } = this;
    const answer = this.bookkeeping(this.summaryOf(item)).settleWait({ claim, step: this.input.step, item, waitId });
    this.start('settleWait', answer, (result) => ({ what: 'waitSettled', item, result }), { what: 'waitSettled', item, result: { outcome: 'c' } });
  }

  private markWaiting(): void {
    this.start('markWaiting', this.bookkeeping().markWaiting({ claim: this.claim }), () => ({ what: 'tick' }), { what: 'tick' });
  }

  /** `cancelled` stands in when the window was stopped before it began. */
  private start<Result>(name: string, answer: Promise<Result>, tell: (result: Result) => WindowEvent, cancelled: WindowEvent): void {
    this.inFlight += 1;
    void answer.then(
      (result) => {
        if (isPayloadRefused(result)) this.fail(refusedPayload(`the result of ${name}`));
        else this.ended(tell(result));
      },
      (error: unknown) => {
        if (isCancellation(error)) this.ended(cancelled);
        else this.fail(error);
      },
    );
  }

  private ended(event: WindowEvent): void {
    this.inFlight -= 1;
    this.clock.completions += 1;
    this.inbox.push(event);
  }

  private fail(error: unknown): void {
    this.fault = error instanceof Error ? error : new Error(String(error));
    this.inbox.rouse();
  }

  private async tellRun(failed: boolean): Promise<void> {
    const { runId, step, from } = this.input;
    try {
      await getExternalWorkflowHandle(makeRunWorkflowId(runId)).signal(windowEndedSignalName, { step, from, failed });
    } catch (error) {
      // A run that is closed needs no telling: its rows say what this window did.
      if (isCancellation(error)) throw error;
    }
  }
}
