import { z } from 'zod';
import { can } from '#core/policy/can.ts';
import { approvalSchema } from '#schemas/approval.ts';
import { asJsonObject, type JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus, runSchema } from '#schemas/run.ts';
import { listApprovals } from '#services/approvals/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { waitForRun } from '../wait-for-run.ts';
import type { McpCall } from './tool.ts';

/** Longest wait for a run in one call, in seconds: clients and what stands between give a call up after a minute. */
export const longestCallSeconds = 30;

/** Approvals of one run that are shown at once. */
const mostApprovals = 20;

const openApprovalSchema = approvalSchema.pick({
  id: true,
  stepPath: true,
  message: true,
  arguments: true,
  endedByHand: true,
  argumentsDigest: true,
  from: true,
  required: true,
  expiresAt: true,
});

/** What every tool that is about a run answers. */
export const runAnswerSchema = runSchema.pick({ id: true, status: true, waitingFor: true, output: true, error: true }).extend({
  plan: z.string().describe('name@version'),
  finished: z.boolean().describe('False: call run_wait with its id.'),
  url: z.string(),
  approvals: z.array(openApprovalSchema).describe('Decisions that the run waits for.'),
});

/** The run as soon as it has ended, or as it is after `seconds`. */
export async function answerRun(dependencies: ApiDependencies, call: McpCall, runId: string, seconds: number): Promise<JsonObject> {
  const { principal, signal } = call;
  const run = await waitForRun(dependencies, { workspaceId: principal.workspaceId, runId, seconds, signal });
  const finished = isFinalRunStatus(run.status);
  const filter = { status: 'open' as const, runId, cursor: null, limit: mostApprovals };
  const approvals =
    finished || !can(principal, 'approvals:read')
      ? []
      : (await inWorkspaceOf(dependencies, principal, (transaction) => listApprovals(transaction, filter))).items;
  const { id, status, waitingFor, output, error, plan } = run;
  const url = `${dependencies.publicUrl}/v1/runs/${id}`;
  // Parsed by its own schema, so that of an approval exactly what clients are told stands in it.
  return asJsonObject(runAnswerSchema.parse({ id, plan: `${plan.name}@${plan.version}`, status, finished, waitingFor, output, error, url, approvals }));
}
