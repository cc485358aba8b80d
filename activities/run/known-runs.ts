import type { Claim } from '#core/engine/claim.ts';
import type { Scope, StepResult } from '#core/expression/scope.ts';
import type { Json } from '#schemas/json.ts';
import type { LineSource } from '#services/runs/ledger/artifact-lines.ts';
import { RecentMap } from '#services/runs/recent-map.ts';

const runsAtMost = 100;
/** Characters of JSON kept for one run: a hundred runs take 13 MB at most. */
const charactersPerRun = 128_000;

/**
 * What this worker knows of a run because it wrote it itself: enough to evaluate the next step without asking Postgres first. Never more than a
 * shortcut: a succeeded step's output does not change under one claim, and what comes of it is recorded only if the rows agree.
 */
export class KnownRun {
  /** The run's start as its row has it. */
  startedAt: Date | null = null;
  /** As JSON: whoever reads a value gets one of his own. */
  private readonly outputs = new Map<string, string>();
  private readonly items = new Map<number, string[]>();
  private readonly lineSources = new Map<number, LineSource>();
  private characters = 0;

  /** What was added first makes room: later steps mostly read what came just before them. */
  addOutput(stepId: string, output: Json): void {
    const text = JSON.stringify(output);
    this.forgetOutput(stepId);
    for (const oldest of this.outputs.keys()) {
      if (text.length > charactersPerRun || this.hasRoomFor(text.length)) break;
      this.forgetOutput(oldest);
    }
    if (!this.hasRoomFor(text.length)) return;
    this.outputs.set(stepId, text);
    this.characters += text.length;
  }

  forgetOutput(stepId: string): void {
    this.characters -= this.outputs.get(stepId)?.length ?? 0;
    this.outputs.delete(stepId);
  }

  addItems(step: number, values: readonly Json[]): void {
    const texts = values.map((value) => JSON.stringify(value));
    const characters = texts.reduce((sum, text) => sum + text.length, 0);
    if (this.items.has(step) || !this.hasRoomFor(characters)) return;
    this.items.set(step, texts);
    this.characters += characters;
  }

  addLineSource(step: number, source: LineSource): void {
    this.lineSources.set(step, source);
  }

  lineSource(step: number): LineSource | undefined {
    return this.lineSources.get(step);
  }

  /** Null when not all of them are known. */
  resultsOf(stepIds: readonly string[]): Scope['steps'] | null {
    const results: Record<string, StepResult> = {};
    for (const id of stepIds) {
      const text = this.outputs.get(id);
      if (text === undefined) return null;
      results[id] = { status: 'succeeded', output: JSON.parse(text) as Json, error: null };
    }
    return results;
  }

  itemOf(step: number, item: number): { value: Json; index: number } | null {
    const text = this.items.get(step)?.[item];
    return text === undefined ? null : { value: JSON.parse(text) as Json, index: item };
  }

  private hasRoomFor(more: number): boolean {
    return this.characters + more <= charactersPerRun;
  }
}

export class KnownRuns {
  private readonly recent = new RecentMap<KnownRun>(runsAtMost);

  /** Another generation or chain knows nothing of what this one wrote. */
  of({ runId, generation, chain }: Claim): KnownRun {
    return this.recent.getOrMake(`${runId}.${generation}.${chain}`, () => new KnownRun());
  }
}
