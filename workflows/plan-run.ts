import { CancellationScope, continueAsNew, defineQuery, defineSignal, setHandler, workflowInfo } from '@temporalio/workflow';
import type { RunEvent } from '#core/engine/apply-event.ts';
import type { Claim } from '#core/engine/claim.ts';
import { decide } from '#core/engine/decide.ts';
import { isPayloadRefused } from '#core/engine/payload-refused.ts';
import { initialState, instantOf, type RunState, restoreState } from '#core/engine/state.ts';
import type { PlanShape } from '#schemas/shape.ts';
import { Alarm } from './alarm.ts';
import { GenerationClock } from './generation.ts';
import { Inbox } from './inbox.ts';
import {
  cancelSignalName,
  controlSignalName,
  type DecisionSignal,
  decisionSignalName,
  type ProgressAnswer,
  progressQueryName,
  type WindowEndedSignal,
  windowEndedSignalName,
} from './messages.ts';
import { loadProgress, RunCommands, refusedPayload } from './run-commands.ts';
import type { PlanRunInput } from './plan-run-input.ts';

const decisionSignal = defineSignal<[DecisionSignal]>(decisionSignalName);
const cancelSignal = defineSignal(cancelSignalName);
const controlSignal = defineSignal(controlSignalName);
const windowEndedSignal = defineSignal<[WindowEndedSignal]>(windowEndedSignalName);
const progressQuery = defineQuery<ProgressAnswer>(progressQueryName);

/** One execution of a plan. It decides and waits; data stays in Postgres, work in activities. */
export async function planRun(input: PlanRunInput): Promise<void> {
  if (input === undefined || isPayloadRefused(input)) throw refusedPayload('the input of the workflow');
  const run = new PlanRun(input);
  await CancellationScope.nonCancellable(() => run.live());
}

class PlanRun {
  private readonly input: PlanRunInput;
  private readonly claim: Claim;
  private readonly inbox = new Inbox<RunEvent>();
  /** Ends with the run's cancel, and with the workflow's own. */
  private readonly work = new CancellationScope({ cancellable: true });
  private readonly commands: RunCommands;
  private readonly clock = new GenerationClock();
  private readonly alarm = new Alarm(() => this.inbox.push({ what: 'tick' }));
  private state: RunState | null = null;

  constructor(input: PlanRunInput) {
    this.input = input;
    this.claim = { runId: input.runId, workspaceId: input.workspaceId, generation: input.generation, chain: workflowInfo().firstExecutionRunId };
    this.commands = new RunCommands(this.claim, input.rules, this.work, {
      tell: (event) => {
        this.clock.completions += 1;
        this.inbox.push(event);
      },
      rouse: () => this.inbox.rouse(),
    });
    this.listen();
  }

  async live(): Promise<void> {
    const loaded = await this.load();
    if (loaded !== null) await this.work.run(() => this.decideUntilClosed(loaded.shape, loaded.state));
    this.alarm.cancel();
  }

  private async decideUntilClosed(shape: PlanShape, start: RunState): Promise<void> {
    let state = start;
    for (;;) {
      this.clock.update(Date.now());
      const decision = decide(this.input.rules, shape, state, this.inbox.take(), Date.now(), this.clock.draining);
      state = decision.state;
      this.state = state;
      this.commands.serveBy(state.control.priority);
      for (const command of decision.commands) this.commands.perform(command, shape, state);
      if (state.closed) return;
      if (this.mayHandOver(state)) await this.handOver(state);
      this.alarm.set(earliest(decision.wakeAtMs, this.clock.wakeAtMs));
      if (this.inbox.isEmpty && this.commands.fault === null) await this.inbox.sleep();
      if (this.commands.fault !== null) throw this.commands.fault;
    }
  }

  private async load(): Promise<{ shape: PlanShape; state: RunState } | null> {
    const { rules, shape, endsInMs } = this.input;
    if (shape !== null) return { shape, state: initialState(shape, instantOf(endsInMs, Date.now()), rules) };
    const loaded = await loadProgress(this.claim);
    if (loaded === null) return null;
    return { shape: loaded.shape, state: restoreState(loaded.shape, { ...loaded.progress, windows: this.input.windows }, Date.now(), rules) };
  }

  private mayHandOver(state: RunState): boolean {
    return this.clock.draining && !state.closing && this.commands.inFlight === 0 && this.inbox.isEmpty;
  }

  private async handOver(state: RunState): Promise<void> {
    await continueAsNew<typeof planRun>({ ...this.input, shape: null, windows: openWindows(state) });
  }

  private listen(): void {
    setHandler(decisionSignal, (signal) => {
      if (isRefused(signal)) this.commands.reportRefused(decisionSignalName);
      else this.inbox.push({ what: 'decision', waitId: signal.waitId });
    });
    setHandler(cancelSignal, () => this.commands.readControl());
    setHandler(controlSignal, () => this.commands.readControl());
    setHandler(windowEndedSignal, (signal) => {
      if (isRefused(signal)) this.commands.reportRefused(windowEndedSignalName);
      else this.inbox.push({ what: 'window', step: signal.step, from: signal.from, failed: signal.failed });
    });
    setHandler(progressQuery, () => ({
      completions: this.clock.completions,
      inFlight: this.commands.inFlight,
      draining: this.clock.draining,
      ending: this.state?.ending ?? null,
      windows: this.state === null ? [] : openWindows(this.state),
    }));
    // Cancelled by Temporal's own means, outside kOS: taken as a cancel; the record says where it came from.
    workflowCancelled(() => this.inbox.push({ what: 'cancelled' }));
  }
}

/** Sealed by somebody else, or sent without anything: an exception in a Signal's handler would fail the workflow task for ever. */
const isRefused = (signal: object | undefined): boolean => signal === undefined || isPayloadRefused(signal);

/** Called from the constructor, so the current scope is the workflow's own. */
function workflowCancelled(then: () => void): void {
  void CancellationScope.current().cancelRequested.catch(then);
}

const openWindows = (state: RunState): PlanRunInput['windows'] =>
  state.steps.flatMap((step, index) => (step.status === 'items' ? (step.items.windows ?? []).map(([from, to]) => ({ step: index, from, to })) : []));

const earliest = (one: number | null, other: number | null): number | null => (one === null ? other : other === null ? one : Math.min(one, other));
