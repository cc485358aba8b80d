import { KosError } from '#core/errors.ts';
import type { Approval, DecideApproval, EditedArgument } from '#schemas/approval.ts';
import { describeApproval } from './approval-view.ts';
import { isPromptEnd } from './confirm.ts';
import type { Invocation } from './invocation.ts';

type Decision = DecideApproval['decision'];

/** The decision names the digest of what was shown; if the arguments changed since, the server refuses and nothing is decided. */
export async function sendDecision(
  invocation: Invocation,
  approval: Approval,
  decision: Decision,
  reason: string | undefined,
  edited?: EditedArgument[],
): Promise<Approval> {
  const body = {
    decision,
    argumentsDigest: approval.argumentsDigest,
    ...(reason === undefined ? {} : { reason }),
    ...(edited === undefined ? {} : { arguments: edited }),
  };
  try {
    return await invocation.client.approvals.decide(approval.id, body);
  } catch (error) {
    if (!(error instanceof KosError) || error.status !== 412) throw error;
    throw new KosError({
      code: error.code,
      message: `Nothing was decided: what ${approval.id} is about has changed since it was shown.`,
      fix: `Look at it again: kai approval get ${approval.id}`,
      status: 412,
      extra: error.extra,
      cause: error,
    });
  }
}

/** Throws when there is nothing left to decide. */
export function requireOpen(approval: Approval): void {
  if (approval.status === 'open') return;
  throw new KosError({
    code: 'approval_not_open',
    message: `${approval.id} is ${approval.status}: there is nothing left to decide.`,
    fix: `See what happened: kai approval get ${approval.id}`,
    status: 409,
  });
}

/** Shows an open approval to the person at the terminal and asks. `later` leaves everything as it is. */
export async function askForDecision({ output }: Invocation, approval: Approval, signal: AbortSignal): Promise<Decision | 'later'> {
  output.say(`\n${describeApproval(approval, output.talkColours, Date.now())}\n`);
  const { select } = await import('@inquirer/prompts');
  try {
    return await select(
      {
        message: 'Your decision?',
        choices: [
          { name: 'approve', value: 'approve' as const },
          { name: 'deny', value: 'deny' as const },
          { name: 'later', value: 'later' as const, description: 'The run goes on waiting.' },
        ],
        default: 'later',
      },
      { output: process.stderr, signal },
    );
  } catch (error) {
    if (isPromptEnd(error)) return 'later';
    throw error;
  }
}
