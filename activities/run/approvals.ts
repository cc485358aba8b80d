import { approverList, approversText, resolveApprover } from '#core/approval/approvers.ts';
import { approvalDigest, type Covered } from '#core/approval/digest.ts';
import type { WaitOpened } from '#core/engine/outcome.ts';
import { KosError } from '#core/errors.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { ApprovalArgument, ApprovalDecision } from '#schemas/approval.ts';
import type { JsonObject } from '#schemas/json.ts';
import { type ApprovalStep, stepDefaults } from '#schemas/plan.ts';
import type { OutcomeError } from '#schemas/run.ts';
import { rulesThatApprove } from '#services/approvals/match.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { ExecutablePlan } from '#services/runs/executable-plans.ts';
import { isApprovalNeeded } from '#services/runs/ledger/approval-need.ts';
import { approveByRules, type DecidedApproval, escalate, insertApproval, readApprovalOfStep, readMembers } from '#services/runs/ledger/approvals.ts';
import { endStep } from '#services/runs/ledger/record-outcome.ts';
import type { TakenStep } from '#services/runs/ledger/take-step.ts';
import { openWaitRow, readAlarm } from '#services/runs/ledger/waits.ts';
import type { RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { failStep } from './fail-step.ts';
import { storableText } from './failure.ts';
import { asObject, resolveInput } from './resolve-input.ts';
import type { EndedAtOnce, Opened, Opening, SkippedAtOnce } from './opening.ts';

const messageCharactersAtMost = 20_000;

type Options = ApprovalStep['approval'];

const optionsOf = (compiled: CompiledStep): Options => ('approval' in compiled.definition ? compiled.definition.approval : {});

export const coveredBy = ({ plan, toolVersions }: ExecutablePlan): Covered => ({ plan: plan.digest, tools: toolVersions });

/** Asks for an approval; where rules approve all that it covers, it is decided at once, and the row says by which. */
export async function openApproval(opening: Opening, gated: CompiledStep[]): Promise<Opened | EndedAtOnce | SkippedAtOnce> {
  const { dependencies, sql, work, compiled, step, toldTo } = opening;
  if (gated.length > 0 && !(await isStillNeeded(sql, work, compiled))) return { skipped: 'nothing that it covers is to run any more: it was ended by hand' };
  const options = optionsOf(compiled);
  const { shown, message } = await whatIsShown(opening, gated);
  const named = approverList(options.from ?? stepDefaults.approval.from);
  const approvers = await resolveAll(sql, step.path, named);
  const asked = {
    required: options.required ?? stepDefaults.approval.required,
    fourEyes: options.fourEyes ?? stepDefaults.approval.fourEyes,
    approvers,
    arguments: shown,
  };
  const { rules, failed } = await rulesThatApprove(sql, dependencies, asked);
  const deadline = { inMs: options.expiresInMs ?? stepDefaults.approval.expiresInMs };
  const { waitId, expiresAt } = await openWaitRow(sql, work.claim, step.path, 'approval', deadline, { toldTo });
  const covers = coveredBy(work.executable);
  const from = approversText(named);
  const approval = { ...asked, waitId, message, argumentsDigest: approvalDigest(covers, message, shown), covers, from, expiresAt, failedRules: failed };
  const escalations = rules === null ? (options.escalate ?? []).map(({ afterMs, to }) => ({ afterMs, to: to === undefined ? null : approverList(to) })) : [];
  const approvalId = await insertApproval(sql, work.claim, step.path, { ...approval, escalations });
  if (rules !== null) {
    await approveByRules(sql, work.claim, { ...approval, approvalId, stepPath: step.path }, rules);
    return { output: await outputOf(sql, work, step.path), metadata: { decision: 'approved', rules } };
  }
  const { endsInMs } = await readAlarm(sql, waitId);
  const until = expiresAt?.toISOString() ?? null;
  return { waitId, endsInMs, waitingFor: { kind: 'approval', ref: approvalId, until, text: waitingText(step.path, from, asked.required) } };
}

/** Its run's row is held: whoever ends a covered step by hand meanwhile finds the approval open, or ends it before it opens. */
async function isStillNeeded(sql: TransactionSql, { claim, executable }: RunWork, { number }: CompiledStep): Promise<boolean> {
  await sql`select from kos.runs where id = ${claim.runId} for no key update`;
  return await isApprovalNeeded(sql, claim.runId, executable.shape, number);
}

async function whatIsShown({ dependencies, compiled, scope }: Opening, gated: CompiledStep[]): Promise<{ shown: ApprovalArgument[]; message: string | null }> {
  const shown = await Promise.all(gatedInOrder(optionsOf(compiled), gated).map((each) => argumentOf(dependencies, each, scope)));
  const { message } = asObject(await dependencies.evaluator.evaluate(compiled.input, scope));
  return { shown, message: typeof message === 'string' ? storableText(message, messageCharactersAtMost) : null };
}

const waitingText = (stepPath: string, from: string, required: number): string =>
  `${stepPath} waits for ${required === 1 ? 'a decision' : `${required} approvals`} by ${from}.`;

/** A name that is nobody's would be waited for in vain: the step fails at once. Throws KosError `approver_unknown`. */
async function resolveAll(sql: TransactionSql, stepPath: string, named: string[]): Promise<string[]> {
  if (named.every((approver) => approver.startsWith('role:'))) return named;
  const members = await readMembers(sql);
  return named.map((approver) => {
    const resolved = resolveApprover(approver, members);
    if (resolved.ok) return resolved.approver;
    throw new KosError({
      code: 'approver_unknown',
      message: `${stepPath} asks ${approver}, and ${resolved.matches === 0 ? 'nobody' : 'more than one'} in this workspace is called that.`,
      fix: 'Name them by id (kai doctor prints yours), or ask a role.',
      status: 422,
    });
  });
}

const gatedInOrder = (options: Options, gated: CompiledStep[]): CompiledStep[] => (options.for ?? []).flatMap((id) => gated.filter((step) => step.id === id));

async function argumentOf(dependencies: RunActivityDependencies, step: CompiledStep, scope: Scope): Promise<ApprovalArgument> {
  const input = await resolveInput(dependencies.evaluator, step, scope);
  return { stepPath: step.id, kind: step.kind, ...('tool' in step.definition ? { tool: step.definition.tool } : {}), input };
}

/** An open approval was looked at before its end: what is due of its escalations happens, and the run says who may decide now. */
export async function escalateApproval(
  sql: TransactionSql,
  work: RunWork,
  compiled: CompiledStep,
  { waitId, stepPath, endsInMs }: { waitId: string; stepPath: string; endsInMs: number | null },
): Promise<WaitOpened> {
  if (endsInMs === null || endsInMs > 0) return { waitId, endsInMs };
  const from = await escalate(sql, work.claim, waitId, stepPath, (to) => resolveKnown(sql, to));
  if (from !== null) await tellWhoDecides(sql, work, stepPath, waitingText(stepPath, from, optionsOf(compiled).required ?? stepDefaults.approval.required));
  return await readAlarm(sql, waitId);
}

/** Whoever has left since the plan was written is left out: the others are still asked. */
async function resolveKnown(sql: TransactionSql, named: string[]): Promise<string[]> {
  const members = named.every((approver) => approver.startsWith('role:')) ? [] : await readMembers(sql);
  return named.flatMap((approver) => {
    const resolved = resolveApprover(approver, members);
    return resolved.ok ? [resolved.approver] : [];
  });
}

async function tellWhoDecides(sql: TransactionSql, work: RunWork, stepPath: string, text: string): Promise<void> {
  const { runId } = work.claim;
  const [step] = await sql<{ ref: string | null }[]>`
    update kos.steps set waiting_for = waiting_for || ${sql.json({ text })} where run_id = ${runId} and path = ${stepPath} and waiting_for is not null
    returning waiting_for->>'ref' as ref`;
  if (step === undefined) return;
  await sql`update kos.runs set waiting_for = waiting_for || ${sql.json({ text })} where id = ${runId} and waiting_for->>'ref' = ${step.ref}`;
}

export async function endApproval(
  dependencies: RunActivityDependencies,
  sql: TransactionSql,
  work: RunWork,
  compiled: CompiledStep,
  step: TakenStep,
): Promise<WaitOpened> {
  const { approval, decision } = await readEnded(sql, work, step.path);
  if (approval.status === 'approved' || goesOn(optionsOf(compiled), approval.status)) {
    const output = showOutput(approval, decision);
    await endStep(sql, work.claim, step, { status: 'succeeded', output, error: null, costMicros: 0, metadata: { decision: approval.status } });
    return { outcome: 's' };
  }
  const expired = approval.status === 'expired';
  const error: OutcomeError = {
    code: expired ? 'approval_expired' : 'approval_denied',
    message: expired ? expiredText(compiled, step.path, approval) : deniedText(step.path, decision),
    fix: expired ? 'Start the run again, or raise expiresInMs of the approval.' : null,
    stepPath: step.path,
  };
  return { outcome: await failStep(dependencies, sql, { ...work, compiled }, step, error) };
}

async function outputOf(sql: TransactionSql, work: RunWork, stepPath: string): Promise<JsonObject> {
  const { approval, decision } = await readEnded(sql, work, stepPath);
  return showOutput(approval, decision);
}

/** The decision that settled it; of one that expired there is none, whoever approved before. */
async function readEnded(sql: TransactionSql, work: RunWork, stepPath: string): Promise<{ approval: DecidedApproval; decision: ApprovalDecision | null }> {
  const approval = await readApprovalOfStep(sql, work.claim.runId, stepPath);
  if (approval === null) throw new Error(`The approval of ${stepPath} in ${work.claim.runId} is gone.`);
  return { approval, decision: approval.status === 'expired' ? null : (approval.decisions.at(-1) ?? null) };
}

const showOutput = ({ id, status }: DecidedApproval, decision: ApprovalDecision | null): JsonObject => ({
  approved: status === 'approved',
  approvalId: id,
  by: decision?.by ?? null,
  reason: decision?.reason ?? null,
  at: decision?.at ?? null,
});

/** Without an approval nothing that it covers runs; the question is only whether the run fails. Silence is never consent. */
function goesOn({ onDeny = stepDefaults.approval.onDeny, onExpiry = onDeny }: Options, status: DecidedApproval['status']): boolean {
  return (status === 'expired' ? onExpiry : onDeny) === 'continue';
}

function expiredText(compiled: CompiledStep, stepPath: string, { decisions }: DecidedApproval): string {
  const { required = 1 } = optionsOf(compiled);
  if (decisions.length === 0) return `Nobody decided on ${stepPath} in time.`;
  return `Of ${required} approvals that ${stepPath} needs, too few came in time.`;
}

function deniedText(stepPath: string, decision: ApprovalDecision | null): string {
  const reason = decision?.reason ?? null;
  return `${decision?.by ?? 'Somebody'} denied ${stepPath}${reason === null ? '.' : `: ${reason}`}`;
}
