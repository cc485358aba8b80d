import type { Claim } from '#core/engine/claim.ts';
import type { UndoResult } from '#core/engine/compensation.ts';
import type { ControlReading } from '#core/engine/control-reading.ts';
import type { StoredWindow } from '#core/engine/decide-window.ts';
import type { BatchResult, ItemsJoined, ItemsOpened, StepsSkipped, UnitResult, WaitOpened } from '#core/engine/outcome.ts';
import type { Ending, StoredProgress } from '#core/engine/state.ts';
import type { PlanShape } from '#schemas/shape.ts';
import { assertClaim, readHeader, Superseded } from '#services/runs/ledger/header.ts';
import { readByHand } from '#services/runs/ledger/by-hand.ts';
import { retryingItems, unfinishedItems } from '#services/runs/ledger/items.ts';
import { hasFailedItem, readProgress } from '#services/runs/ledger/progress.ts';
import { markRunWaiting } from '#services/runs/ledger/record-outcome.ts';
import { describeOpenWaits, takeOverWaits } from '#services/runs/ledger/waits.ts';
import { recordAudit } from '#services/records/record.ts';
import { closeRun } from './close-run.ts';
import type { RunActivityDependencies, Vitality } from './dependencies.ts';
import { AttemptLost } from './failure.ts';
import { unlessHeld } from './held-by-pause.ts';
import { BatchProgress, executeBatch } from './execute-batch.ts';
import { execute, executeChain } from './execute-chain.ts';
import { joinItems, openItems, stepOf } from './items.ts';
import { KnownRuns } from './known-runs.ts';
import { persistently } from './persistently.ts';
import { skipSteps } from './skip-steps.ts';
import { undoSteps } from './undo.ts';
import { openWait, settleWait } from './waits.ts';
import { WorkUnderWay } from './work-under-way.ts';

export interface LoadedRun {
  shape: PlanShape;
  progress: StoredProgress;
}

/** Temporal keeps what a local activity answers, and not what it was asked: so the answer says what it is about. */
type QuickResult = UnitResult & { steps: number[] };
type QuickItemsResult = BatchResult & { step: number; from: number; to: number };

/** A step that waits, or an item of it. */
interface Place {
  step: number;
  item?: number;
}

/** A chain gives its worker back after this long; the next activity goes on behind the last checkpoint. */
const chainBudgetMs = 5_000;
/** So long one may keep the workflow's task waiting: then the rest is an activity. What is in the midst of a step by twice that time is left to it, too. */
const quickBudgetMs = 500;

/** Null: it was not done when its time was up. */
async function unlessLong<Result>(stop: AbortSignal, work: (signal: AbortSignal) => Promise<Result>): Promise<Result | null> {
  const long = new AbortController();
  const timer = setTimeout(() => long.abort(new AttemptLost('it takes longer than a workflow task should', true)), 2 * quickBudgetMs);
  const signal = AbortSignal.any([stop, long.signal]);
  try {
    return await persistently(signal, () => work(signal));
  } catch (error) {
    // Whatever it was, the activity finds it, too.
    if (long.signal.aborted) return null;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Everything a run's workflow asks for. Arguments and results are numbers and ids: data stays in Postgres. */
export function createRunActivities(dependencies: RunActivityDependencies) {
  const { database } = dependencies;
  const underWay = new WorkUnderWay();
  const knownRuns = new KnownRuns();

  const workOn = async (claim: Claim) => {
    const facts = await dependencies.facts.get(claim);
    return { claim, facts, executable: await dependencies.plans.get(facts), known: knownRuns.of(claim) };
  };

  /** With a sign of life from the first moment on, for a database may be slow; and with one answer to a claim that has passed on. */
  const claimed = async <Result>(superseded: Result, work: (vitality: Vitality) => Promise<Result>): Promise<Result> => {
    try {
      // A database that is away for a moment is waited for here: Temporal's pauses between attempts grow to seconds, and would add to its absence.
      return await dependencies.alive((vitality) => persistently(vitality.signal, () => work(vitality)));
    } catch (error) {
      if (error instanceof Superseded) return superseded;
      throw error;
    }
  };

  return {
    async loadRun({ claim }: { claim: Claim }): Promise<LoadedRun | null> {
      return await claimed<LoadedRun | null>(null, async () => {
        const { executable } = await workOn(claim);
        return await database.inWorkspace(claim.workspaceId, async ({ sql }) => {
          assertClaim(await readHeader(sql, claim), claim);
          await sql`update kos.runs set claimed_by = ${claim.chain} where id = ${claim.runId} and generation = ${claim.generation} and claimed_by is null`;
          return { shape: executable.shape, progress: await readProgress(sql, claim.runId, executable.shape) };
        });
      });
    },

    /** `toldTo`: the window's workflow; absent where nothing in it waits. */
    async loadWindow({ claim, step, from, to, toldTo }: { claim: Claim; step: number; from: number; to: number; toldTo?: string }): Promise<StoredWindow> {
      return await claimed<StoredWindow>({ unfinished: [], retrying: [], failed: false, superseded: true }, () =>
        database.inWorkspace(claim.workspaceId, async ({ sql }) => {
          assertClaim(await readHeader(sql, claim), claim);
          const waiting = toldTo === undefined ? [] : await takeOverWaits(sql, claim.runId, { step, from, to, toldTo });
          const [unfinished, retrying, failed] = await Promise.all([
            unfinishedItems(sql, claim.runId, step, from, to, false),
            retryingItems(sql, claim.runId, step, from, to),
            hasFailedItem(sql, claim.runId, step),
          ]);
          return { unfinished, retrying, waiting, failed, superseded: false };
        }),
      );
    },

    async executeUnit({ claim, steps, alone, closes }: { claim: Claim; steps: number[]; alone: boolean; closes: boolean }): Promise<UnitResult> {
      return await claimed<UnitResult>({ outcomes: '', superseded: true }, async ({ signal }) => {
        return await executeChain(dependencies, await workOn(claim), { steps, alone, closes, signal, underWay, forMs: chainBudgetMs });
      });
    },

    /**
     * The same where the workflow's own task waits for it (a local activity). Null: it takes too long for that, or the database is away; the next attempt, an
     * activity, goes on with it and joins what is under way in this worker.
     */
    async tryUnit({ claim, steps, alone, closes }: { claim: Claim; steps: number[]; alone: boolean; closes: boolean }): Promise<QuickResult | null> {
      return await claimed<QuickResult | null>({ outcomes: '', steps, superseded: true }, (vitality) =>
        unlessLong(vitality.signal, async (signal) => ({
          ...(await executeChain(dependencies, await workOn(claim), { steps, alone, closes, signal, underWay, forMs: quickBudgetMs })),
          steps,
        })),
      );
    },

    async executeItem({ claim, step, item, alone }: { claim: Claim; step: number; item: number; alone: boolean }): Promise<UnitResult> {
      return await claimed<UnitResult>({ outcomes: '', superseded: true }, async ({ signal }) => {
        const base = await workOn(claim);
        const tried = await execute(dependencies, { ...base, compiled: stepOf(base, step), item, alone, signal, underWay });
        return 'outcome' in tried ? { outcomes: tried.outcome } : { outcomes: '', ...tried };
      });
    },

    /** Within the workflow's own task. What there is no time for is not begun; what is given up in its midst (`cut`) is left to an activity. */
    async tryItems({ claim, step, from, to }: { claim: Claim; step: number; from: number; to: number }): Promise<QuickItemsResult> {
      const place = { step, from, to };
      return await claimed<QuickItemsResult>({ outcomes: '', ...place, superseded: true }, async (vitality) => {
        const progress = new BatchProgress();
        const result = await unlessLong(vitality.signal, async (signal) =>
          executeBatch(dependencies, await workOn(claim), { ...place, signal, underWay, forMs: quickBudgetMs }, progress),
        );
        return { ...(result ?? { ...progress.answer(), cut: true }), ...place };
      });
    },

    async openItems({ claim, step, alone }: { claim: Claim; step: number; alone: boolean }): Promise<ItemsOpened> {
      return await claimed<ItemsOpened>({ superseded: true }, () => unlessHeld(async () => await openItems(dependencies, await workOn(claim), step, alone)));
    },

    async joinItems({ claim, step, closes }: { claim: Claim; step: number; closes: boolean }): Promise<ItemsJoined> {
      return await claimed<ItemsJoined>({ outcomes: '', superseded: true }, async () => await joinItems(dependencies, await workOn(claim), step, closes));
    },

    async openWait({ claim, step, item, alone, toldTo }: { claim: Claim; alone: boolean; toldTo?: string } & Place): Promise<WaitOpened> {
      const options = { step, item: item ?? null, alone, toldTo: toldTo ?? null };
      return await claimed<WaitOpened>({ superseded: true }, () => unlessHeld(async () => await openWait(dependencies, await workOn(claim), options)));
    },

    async settleWait({ claim, step, item, waitId }: { claim: Claim; waitId: string } & Place): Promise<WaitOpened> {
      return await claimed<WaitOpened>({ superseded: true }, ({ signal }) =>
        unlessHeld(async () => await settleWait(dependencies, await workOn(claim), { step, item: item ?? null }, { waitId, signal })),
      );
    },

    async skipSteps({ claim, steps }: { claim: Claim; steps: number[] }): Promise<StepsSkipped> {
      return await claimed<StepsSkipped>({ superseded: true }, async () => await skipSteps(dependencies, await workOn(claim), steps));
    },

    /** All that is left of the run is waiting: says so on its row. */
    async markWaiting({ claim }: { claim: Claim }): Promise<void> {
      await claimed<void>(undefined, () =>
        database.inWorkspace(claim.workspaceId, async ({ sql }) => {
          const waitingFor = await describeOpenWaits(sql, claim.runId);
          if (waitingFor !== null) await markRunWaiting(sql, claim, waitingFor);
        }),
      );
    },

    async readControl({ claim }: { claim: Claim }): Promise<ControlReading> {
      return await claimed<ControlReading>({ cancelRequested: false }, async () => {
        const { executable } = await workOn(claim);
        return await database.inWorkspace(claim.workspaceId, async ({ sql }) => {
          const { cancelRequested, controlVersion, status, priority } = await readHeader(sql, claim);
          const byHand = await readByHand(sql, claim.runId, executable.shape);
          return { cancelRequested, version: controlVersion, paused: status === 'paused', priority, byHand };
        });
      });
    },

    /** What the run's steps did is taken back, as far as that goes in one activity. */
    async undoSteps({ claim, ending }: { claim: Claim; ending: Ending }): Promise<UndoResult> {
      return await claimed<UndoResult>({ superseded: true }, async ({ signal }) =>
        undoSteps(dependencies, { ...(await workOn(claim)), signal, underWay }, ending),
      );
    },

    async closeRun({ claim, ending }: { claim: Claim; ending: Ending | null }): Promise<void> {
      await claimed<void>(undefined, async () => await closeRun(dependencies, await workOn(claim), ending));
    },

    /** A Signal that this installation's key did not seal was dropped: on the record. */
    async recordRefusedMessage({ claim, message }: { claim: Claim; message: string }): Promise<void> {
      await claimed<void>(undefined, () =>
        database.inWorkspace(claim.workspaceId, ({ sql }) =>
          recordAudit(sql, [{ workspaceId: claim.workspaceId, actor: 'unknown', action: 'message.refused', subject: claim.runId, data: { message } }]),
        ),
      );
    },
  };
}
