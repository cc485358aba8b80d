import { undoableSteps } from '#core/engine/compensation.ts';
import type { OutcomeError } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { tallyUndos, type UndoTally } from '#services/runs/ledger/undos.ts';

/** The error with which a run ends, and what became of what it had done: that, too, whoever reads it must know. */
export async function withUndone(sql: TransactionSql, { runId, shape }: { runId: string; shape: PlanShape }, error: OutcomeError): Promise<OutcomeError> {
  const steps = undoableSteps(shape);
  if (steps.length === 0) return error;
  const tally = await tallyUndos(sql, runId, steps);
  const told = sentences(tally);
  if (told.length === 0) return error;
  const fix = tally.failed === 0 ? error.fix : `Try what was not undone again: kai run retry ${runId}`;
  return { ...error, message: `${sentence(error.message)} ${told.join(' ')}`.slice(0, 4_000), fix };
}

function sentences({ undone, failed, failedFirst, left, unknown, unknownFirst }: UndoTally): string[] {
  const told: string[] = [];
  if (undone > 0) told.push(`What ${steps(undone)} had done was undone.`);
  const [first] = failedFirst;
  if (first !== undefined) {
    const which = named(
      failedFirst.map(({ path }) => path),
      failed,
    );
    const because = failed === 1 ? ` (${first.code}: ${first.message})` : `; the first of them: ${first.message} (${first.code})`;
    told.push(`${failed === 1 ? '1 undo' : `${failed} undos`} did not succeed: ${which}${because}.`);
  }
  if (left > 0) told.push(`What ${steps(left)} had done stays.`);
  if (unknown > 0) told.push(`Not undone, though the effect may have happened: ${named(unknownFirst, unknown)}.`);
  return told;
}

const named = (paths: readonly string[], count: number): string => `${paths.join(', ')}${count > paths.length ? ` and ${count - paths.length} others` : ''}`;

const steps = (count: number): string => (count === 1 ? '1 step' : `${count} steps`);

/** What people and tools wrote may end in any way. */
const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
