import { KosError } from '#core/errors.ts';
import { approvalDigest } from '#core/approval/digest.ts';
import type { Json } from '#schemas/json.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { readApprovalOfStep } from '#services/runs/ledger/approvals.ts';
import { coveredBy } from './approvals.ts';
import type { StepWork } from './step-work.ts';

/**
 * Read in the transaction that records the step's intent: a forged or stale Signal finds no decision here. Null: the step is not gated, or its
 * approval was skipped. An approved step executes what was shown, never evaluated again.
 */
export async function approvedInput(sql: TransactionSql, work: StepWork): Promise<{ input: Json } | 'denied' | null> {
  const { compiled, executable, claim } = work;
  if (compiled.gatedBy === null) return null;
  const approval = await readApprovalOfStep(sql, claim.runId, compiled.gatedBy);
  if (approval === null) {
    const [gate] = await sql<{ status: string }[]>`select status from kos.steps where run_id = ${claim.runId} and path = ${compiled.gatedBy}`;
    if (gate?.status === 'skipped') return null;
    throw notApproved(compiled.id, compiled.gatedBy, 'has not been asked for');
  }
  if (approval.status === 'denied' || approval.status === 'expired') return 'denied';
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

const notApproved = (stepId: string, gate: string, state: string): KosError =>
  new KosError({
    code: 'not_approved',
    message: `The step ${stepId} needs the approval ${gate}, which ${state}.`,
    fix: 'Decide it with: kai approval list',
    status: 409,
  });
