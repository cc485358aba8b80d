import { KosError } from '#core/errors.ts';
import { approvalDigest } from '#core/approval/digest.ts';
import type { Json } from '#schemas/json.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { readApprovalOfStep } from '#services/runs/ledger/approvals.ts';
import { coveredBy } from './approvals.ts';
import { readVerdict } from './needs.ts';
import type { StepWork } from './step-work.ts';

/**
 * Read in the transaction that records the step's intent: a forged or stale Signal finds no decision here. Null: the step is not gated, or its
 * approval was skipped by its own `when`. An approved step executes what was shown, never evaluated again. `withheld`: why it must not run.
 */
export async function approvedInput(sql: TransactionSql, work: StepWork): Promise<{ input: Json } | { withheld: string } | null> {
  const { compiled, executable, claim } = work;
  if (compiled.gatedBy === null) return null;
  const approval = await readApprovalOfStep(sql, claim.runId, compiled.gatedBy);
  if (approval === null) {
    return await withoutApproval(sql, work, compiled.gatedBy);
  }
  if (approval.status === 'denied' || approval.status === 'expired') return { withheld: 'its approval was denied' };
  if (approval.status !== 'approved') throw notApproved(compiled.id, compiled.gatedBy, `is ${approval.status}`);
  const shown = approval.arguments.find((argument) => argument.stepPath === compiled.id);
  if (shown === undefined || approvalDigest(coveredBy(executable), approval.message, approval.arguments) !== approval.argumentsDigest) {
    throw new KosError({
      code: 'approval_tampered',
      message: `What approval ${approval.id} covers is no longer what was decided on (its digest differs).`,
      fix: 'Start the run again, so that the present arguments are asked for.',
      status: 409,
    });
  }
  return { input: shown.input };
}

/**
 * Nobody was asked. Only the approval's own `when` may say that nobody needs to be, and that is asked when all that it needs has ended well: that a step was
 * skipped which it needs (its row may not say so yet) says nothing of the kind.
 */
async function withoutApproval(sql: TransactionSql, { executable, compiled, claim }: StepWork, gate: string): Promise<{ withheld: string } | null> {
  const [row] = await sql<{ status: string; step: number }[]>`select status, step from kos.steps where run_id = ${claim.runId} and path = ${gate}`;
  if (row?.status !== 'skipped') throw notApproved(compiled.id, gate, 'has not been asked for');
  const { verdict } = await readVerdict(sql, claim.runId, executable, row.step);
  return verdict !== 'ready' ? { withheld: 'the approval that covers it was skipped, since a step that it needs was' } : null;
}

const notApproved = (stepId: string, gate: string, state: string): KosError =>
  new KosError({
    code: 'not_approved',
    message: `The step ${stepId} needs the approval ${gate}, which ${state}.`,
    fix: 'Decide it with: kai approval list',
    status: 409,
  });
