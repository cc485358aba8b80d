import { undoableSteps } from '#core/engine/compensation.ts';
import type { OutcomeError } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { tallyUndos, type UndoTally } from '#services/runs/ledger/undos.ts';

/** So many are named; the others stand in their rows. */
const namedAtMost = 5;

/** The error with which a run ends, and what became of what it had done: that, too, whoever reads it must know. */
export async function withUndone(sql: TransactionSql, { runId, shape }: { runId: string; shape: PlanShape }, error: OutcomeError): Promise<OutcomeError> {
  const steps = undoableSteps(shape);
  if (steps.length === 0) return error;
  const tally = await tallyUndos(sql, runId, steps);
  const told = sentences(tally);
  if (told.length === 0) return error;
  const fix = tally.failed.length === 0 ? error.fix : `Try what was not undone again: kai run retry ${runId}`;
  return { ...error, message: `${sentence(error.message)} ${told.join(' ')}`.slice(0, 4_000), fix };
}

function sentences({ undone, failed, left, unknown }: UndoTally): string[] {
  const told: string[] = [];
  if (undone > 0) told.push(`What ${steps(undone)} had done was undone.`);
  const [first] = failed;
  if (first !== undefined) {
    const which = failed.slice(0, namedAtMost).map(({ path }) => path);
    const others = failed.length > namedAtMost ? ` and ${failed.length - namedAtMost} others` : '';
    const because = failed.length === 1 ? ` (${first.code}: ${first.message})` : `; the first of them: ${first.message} (${first.code})`;
    told.push(`${failed.length === 1 ? '1 undo' : `${failed.length} undos`} did not succeed: ${which.join(', ')}${others}${because}.`);
  }
  if (left > 0) told.push(`What ${steps(left)} had done stays.`);
  if (unknown.length > 0) {
    const others = unknown.length > namedAtMost ? ` and ${unknown.length - namedAtMost} others` : '';
    told.push(`Not undone, though the effect may have happened: ${unknown.slice(0, namedAtMost).join(', ')}${others}.`);
  }
  return told;
}

const steps = (count: number): string => (count === 1 ? '1 step' : `${count} steps`);

/** What people and tools wrote may end in any way. */
const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
